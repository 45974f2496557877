import type { Comparison } from './comparison';
import type { Decision } from './decide';
import { preferenceOf } from './filter';
import type { Judged } from './judged';
import { wilson, type Share } from './statistics';

/** What the order and the length of responses do to a labeller's verdicts. Ties count nowhere. */
export interface PositionBias {
  /** Verdicts for the response that was shown first: 0.5 for a labeller that ignores the order. */
  readonly firstWins: Share | null;
  /** Comparisons whose winner changes when the order does. */
  readonly swapFlips: Share | null;
  /** Questions whose winner changes when they are put again in the same order: what chance alone does. */
  readonly repeatFlips: Share | null;
  /** Both kinds of flips by how much longer the longer response is. */
  readonly byLengthGap: readonly {
    readonly gap: string;
    readonly swapFlips: Share | null;
    readonly repeatFlips: Share | null;
  }[];
  /** Kept labels that prefer the longer response. */
  readonly longerWins: Share | null;
}

/** Bounds of the difference in characters over the longer response's. */
const GAPS = [
  { gap: 'below 10 %', from: 0, to: 0.1 },
  { gap: '10 to 30 %', from: 0.1, to: 0.3 },
  { gap: 'above 30 %', from: 0.3, to: Infinity },
];

/** Measures position and length effects of a group of comparisons. */
export function measurePosition(judged: readonly Judged[]): PositionBias {
  const shown = judged.flatMap(({ forward, swapped }) => [forward, swapped]).flatMap(winner);
  const kept = judged.flatMap(({ comparison, label }) =>
    label.type === 'kept' ? [{ difference: lengthDifference(comparison), winner: label.winner }] : [],
  );
  const unequal = kept.filter(({ difference }) => difference !== 0);
  const longer = unequal.filter(({ difference, winner: won }) => difference > 0 === (won === 'first'));
  return {
    firstWins: wilson(shown.filter((won) => won === '1').length, shown.length),
    swapFlips: swapFlips(judged),
    repeatFlips: repeatFlips(judged),
    byLengthGap: GAPS.map(({ gap, from, to }) => {
      const own = judged.filter(
        ({ comparison }) => lengthGap(comparison) >= from && lengthGap(comparison) < to,
      );
      return { gap, swapFlips: swapFlips(own), repeatFlips: repeatFlips(own) };
    }),
    longerWins: wilson(longer.length, unequal.length),
  };
}

function winner(decision: Decision): ('1' | '2')[] {
  return decision.type === 'verdict' && decision.verdict !== 'tie' ? [decision.verdict] : [];
}

function swapFlips(judged: readonly Judged[]): Share | null {
  const both = judged.flatMap(({ forward, swapped }) =>
    winner(forward).flatMap((one) => winner(swapped).map((other) => [one, other] as const)),
  );
  const flips = both.filter(
    ([one, other]) => preferenceOf(one, 'forward') !== preferenceOf(other, 'swapped'),
  );
  return wilson(flips.length, both.length);
}

function repeatFlips(judged: readonly Judged[]): Share | null {
  const both = judged.flatMap(({ forward, repeated }) =>
    repeated === null
      ? []
      : winner(forward).flatMap((one) => winner(repeated).map((other) => [one, other] as const)),
  );
  return wilson(both.filter(([one, other]) => one !== other).length, both.length);
}

/** Characters of the first response minus those of the second. */
function lengthDifference({ responses: [a, b] }: Comparison): number {
  return a.length - b.length;
}

function lengthGap(comparison: Comparison): number {
  const [a, b] = comparison.responses;
  return Math.abs(lengthDifference(comparison)) / Math.max(a.length, b.length);
}

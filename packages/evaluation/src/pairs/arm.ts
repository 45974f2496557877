import type { Pair } from '@dmoerm/dataset';
import type { Judgement } from './judge';
import { won } from './groups';

/** One way to judge the pairs of a list, with a row of judgements per seed. */
export interface Arm {
  readonly name: string;
  /** Arms of one group stand on the same seeds, which are resampled together. */
  readonly group: string;
  /** [S][pairs] */
  readonly seeds: readonly (readonly Judgement[])[];
}

/** Name of the trivial baseline. */
export const LONGER_WINS = 'longer_wins';

/** The baseline that takes the response with more characters (UTF-16 units); equal lengths are ties. */
export function longerWins(pairs: readonly Pair[]): Arm {
  const judgements = pairs.map(({ chosen, rejected }): Judgement => ({
    margin: chosen.length - rejected.length,
    chosen: chosen.length,
    rejected: rejected.length,
    task: null,
    failure: null,
    truncated: false,
    degraded: false,
  }));
  return { name: LONGER_WINS, group: LONGER_WINS, seeds: [judgements] };
}

/** Whether all seeds of an arm judged a pair. */
export function covers({ seeds }: Arm, pair: number): boolean {
  return seeds.every((own) => own[pair]?.failure === null);
}

/** What a seed's judgement of a pair is worth. */
export function scoreOf(seed: readonly Judgement[], pair: number): number {
  return won(seed[pair]?.margin ?? NaN);
}

/** How many of the given pairs have no judgement, by the reason of the first seed that lacks one. */
export function countFailures({ seeds }: Arm, pairs: Iterable<number>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const pair of pairs) {
    const reason = seeds.map((own) => own[pair]?.failure ?? null).find((one) => one !== null);
    if (reason) counts[reason] = (counts[reason] ?? 0) + 1;
  }
  return counts;
}

import { createRandom } from './random';

/** A judged pair: what a model scored, and what clusters and baselines need. */
export interface JudgedPair {
  readonly source: string;
  readonly promptId: string;
  /** Score of the preferred response minus score of the other. */
  readonly margin: number;
  /** Characters of the preferred response minus those of the other. */
  readonly lengthDifference: number;
  /** Shorter response's characters over the longer one's. */
  readonly lengthRatio: number;
}

/** A share with its 95 % interval, and how many it was taken over. */
export interface Share {
  readonly pairs: number;
  readonly prompts: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const DRAWS = 10_000;

/** 1 where the margin favours the preferred response, 1/2 for an exact tie. */
export function won(margin: number): number {
  return margin > 0 ? 1 : margin === 0 ? 0.5 : 0;
}

/**
 * Share of pairs decided as people did: averaged within a prompt, then over prompts; 95 % interval by bootstrap over prompts (rows
 * of one prompt are not independent), 10,000 draws.
 */
export function accuracy(
  pairs: readonly JudgedPair[],
  decide: (pair: JudgedPair) => number = ({ margin }) => won(margin),
  seed = 1,
): Share {
  const prompts = new Map<string, { sum: number; count: number }>();
  for (const pair of pairs) {
    const key = `${pair.source}/${pair.promptId}`;
    const own = prompts.get(key) ?? { sum: 0, count: 0 };
    prompts.set(key, { sum: own.sum + decide(pair), count: own.count + 1 });
  }
  const means = [...prompts.values()].map(({ sum, count }) => sum / count);
  const value = means.reduce((a, b) => a + b, 0) / means.length;
  const random = createRandom(seed);
  const draws = Array.from({ length: means.length === 0 ? 0 : DRAWS }, () => {
    let sum = 0;
    for (let i = 0; i < means.length; i++) sum += means[Math.floor(random() * means.length)] ?? 0;
    return sum / means.length;
  }).sort((a, b) => a - b);
  return {
    pairs: pairs.length,
    prompts: means.length,
    value,
    low: draws[Math.floor(0.025 * draws.length)] ?? NaN,
    high: draws[Math.ceil(0.975 * draws.length) - 1] ?? NaN,
  };
}

/** Figures of one group of pairs beside the trivial baseline. */
export interface Evaluation {
  readonly group: string;
  readonly model: Share;
  /** The response with more characters wins. */
  readonly longerWins: Share;
  /** Pairs of nearly the same length (ratio 0.8 or more): what is left when length tells nothing. */
  readonly sameLength: Share;
}

/** Accuracy of a group of pairs, with its baselines. */
export function evaluateGroup(group: string, pairs: readonly JudgedPair[]): Evaluation {
  return {
    group,
    model: accuracy(pairs),
    longerWins: accuracy(pairs, ({ lengthDifference }) => won(lengthDifference)),
    sameLength: accuracy(pairs.filter(({ lengthRatio }) => lengthRatio >= 0.8)),
  };
}

/** Evaluations as a table for people. */
export function formatEvaluations(evaluations: readonly Evaluation[]): string {
  const cell = ({ pairs, value, low, high }: Share): string =>
    pairs === 0 ? '-' : `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
  const rows = [
    ['group', 'pairs', 'prompts', 'model', 'longer wins', 'model, same length'],
    ...evaluations.map(({ group, model, longerWins, sameLength }) => [
      group,
      `${model.pairs}`,
      `${model.prompts}`,
      cell(model),
      cell(longerWins),
      `${cell(sameLength)} (${sameLength.pairs})`,
    ]),
  ];
  const widths = rows[0]?.map((_, c) => Math.max(...rows.map((row) => row[c]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((text, c) => text.padEnd(widths[c] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

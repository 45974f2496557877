import type { Pair } from '@dmoerm/dataset';
import { bootstrap } from '../statistics/bootstrap';
import { leastSquares } from '../statistics/least-squares';
import { createPanel } from '../statistics/panel';
import { spearman } from '../statistics/ranks';
import { covers, type Arm } from './arm';
import { accuracyOf, toPlainFigure, type Figure, type FigureOptions } from './figures';
import { groupPairs } from './groups';
import type { Judgement } from './judge';
import { markCount, STYLE_FEATURES, styleFeatures, styleOf } from './markdown';

/** How far an arm's reward is length and style. */
export interface LengthReport {
  /** Accuracy where people preferred the shorter, or the longer response. */
  readonly shorter_preferred: Figure;
  readonly longer_preferred: Figure;
  /** Where the shorter response has at least 0.8 of the longer one's characters. */
  readonly length_matched: Figure;
  /** Within a prompt, means over the prompts where both vary. */
  readonly spearman_length: Figure;
  readonly spearman_markdown: Figure;
  /** What is left of the margins when length and markdown are taken out by least squares. */
  readonly residual: Figure;
  /** Standardised margins explained by differences of log(1 + count), of the first seed. */
  readonly coefficients: Readonly<Record<string, number>>;
  /** Share of the margins' squares that they explain. */
  readonly r_squared: number | null;
}

/** Shorter over longer response: 0.8 to 1.25 either way round. */
const MATCHED = 0.8;

/** Whether two responses have about the same length. */
export function isLengthMatched({ chosen, rejected }: Pick<Pair, 'chosen' | 'rejected'>): boolean {
  const [a, b] = [chosen.length, rejected.length];
  return Math.min(a, b) >= MATCHED * Math.max(a, b);
}

/** The length report of an arm. */
export function lengthReport(arm: Arm, options: FigureOptions): LengthReport {
  const { pairs } = options;
  const difference = (i: number): number => (pairs[i]?.chosen.length ?? 0) - (pairs[i]?.rejected.length ?? 0);
  const subset = (take: (pair: number) => boolean): Figure =>
    toPlainFigure(accuracyOf(arm, { ...options, take }));
  const fits = arm.seeds.map((own) => residuals(own, pairs));
  const residual = { ...arm, seeds: fits.map(({ judgements }) => judgements) };
  return {
    shorter_preferred: subset((i) => difference(i) < 0),
    longer_preferred: subset((i) => difference(i) > 0),
    length_matched: subset((i) => pairs[i] !== undefined && isLengthMatched(pairs[i])),
    spearman_length: withinPrompts(arm, options, (text) => text.length),
    spearman_markdown: withinPrompts(arm, options, (text) => markCount(styleOf(text))),
    residual: toPlainFigure(accuracyOf(residual, options)),
    coefficients: fits[0]?.coefficients ?? {},
    r_squared: fits[0]?.rSquared ?? null,
  };
}

/**
 * Margins minus what differences in style explain of them. Tasks have rewards of other scales, so margins are divided by their root
 * mean square within the task that scored them. Labels are not used: this takes nothing from the accuracy by itself.
 */
function residuals(
  own: readonly Judgement[],
  pairs: readonly Pair[],
): { judgements: Judgement[]; coefficients: Record<string, number>; rSquared: number | null } {
  const scales = new Map<string | null, { squares: number; count: number }>();
  for (const { margin, task, failure } of own) {
    if (failure !== null) continue;
    const scale = scales.get(task) ?? { squares: 0, count: 0 };
    scales.set(task, { squares: scale.squares + margin ** 2, count: scale.count + 1 });
  }
  const scaled = own.map(({ margin, task }) => {
    const { squares, count } = scales.get(task) ?? { squares: 0, count: 1 };
    return squares === 0 ? margin : margin / Math.sqrt(squares / count);
  });
  const rows = pairs.map(({ chosen, rejected }) => {
    const [a, b] = [styleFeatures(styleOf(chosen)), styleFeatures(styleOf(rejected))];
    return a.map((value, f) => value - (b[f] ?? 0));
  });
  const judged = own.flatMap(({ failure }, i) => (failure === null ? [i] : []));
  const weights = leastSquares(
    judged.map((i) => rows[i] ?? []),
    judged.map((i) => scaled[i] ?? 0),
  );
  const left = scaled.map(
    (margin, i) => margin - weights.reduce((sum, weight, f) => sum + weight * (rows[i]?.[f] ?? 0), 0),
  );
  const squares = (values: readonly number[]): number =>
    judged.reduce((sum, i) => sum + (values[i] ?? 0) ** 2, 0);
  return {
    judgements: own.map((judgement, i) => ({ ...judgement, margin: left[i] ?? NaN })),
    coefficients: Object.fromEntries(STYLE_FEATURES.map((name, f) => [name, weights[f] ?? 0])),
    rSquared: squares(scaled) === 0 ? null : 1 - squares(left) / squares(scaled),
  };
}

/** Mean of Spearman's correlation within prompts between reward and a property of the response. */
function withinPrompts(
  arm: Arm,
  { pairs, categoryOf, bootstrap: options }: FigureOptions,
  property: (text: string) => number,
): Figure {
  const categoryAt = (i: number): string => categoryOf(pairs[i] as Pair);
  const groups = groupPairs(pairs, categoryAt, (i) => covers(arm, i));
  const found = groups.pairsOf.flatMap((own) => {
    const bySeed = arm.seeds.map((seed) => correlation(own, pairs, seed, property));
    return bySeed.includes(null) ? [] : [{ category: categoryAt(own[0] ?? 0), pairs: own.length, bySeed }];
  });
  const count = found.reduce((sum, own) => sum + own.pairs, 0);
  if (found.length === 0) return { pairs: 0, prompts: 0, value: null, interval: null };
  const panel = createPanel(found.map(({ category }) => category));
  const seeds = arm.seeds.map((_, s) => Float64Array.from(found, ({ bySeed }) => bySeed[s] ?? NaN));
  const [estimate] = bootstrap(panel, [{ plus: { group: arm.group, seeds }, minus: null }], options);
  const { value = NaN, low = NaN, high = NaN } = estimate?.overall ?? {};
  return { pairs: count, prompts: found.length, value, interval: [low, high] };
}

/** Over the distinct responses of a prompt. */
function correlation(
  own: readonly number[],
  pairs: readonly Pair[],
  seed: readonly Judgement[],
  property: (text: string) => number,
): number | null {
  const rewards = new Map<string, number>();
  for (const i of own) {
    rewards.set(pairs[i]?.chosen ?? '', seed[i]?.chosen ?? NaN);
    rewards.set(pairs[i]?.rejected ?? '', seed[i]?.rejected ?? NaN);
  }
  return spearman([...rewards.values()], [...rewards.keys()].map(property));
}

/** A rule over the experts' standardised scores, without learned parameters. */
export type ScoreRule =
  | { readonly type: 'mean' }
  | { readonly type: 'worst_case' }
  | { readonly type: 'uncertainty_weighted'; readonly lambda: number };

/** A capability expert's score on the validation data. */
export interface ScoreScale {
  readonly mean: number;
  /** Above 0. */
  readonly std: number;
}

/** A candidate's reward and its parts. */
export interface Aggregate {
  readonly reward: number;
  /** How much each expert moved the reward [K]. */
  readonly contributions: readonly number[];
  /** Standard deviation over the experts' standardised scores. */
  readonly expertSpread: number;
  /** Standard deviation over the aggregator's heads, reward units; 0 without heads. */
  readonly headSpread: number;
}

/** Scores in standard deviations from their mean over the validation data: what makes experts comparable. */
export function standardise(scores: ArrayLike<number>, scales: readonly ScoreScale[]): number[] {
  return scales.map(({ mean, std }, k) => ((scores[k] ?? NaN) - mean) / std);
}

/** The reward of standardised scores [K] by a rule, always pessimistic towards disagreement or neutral to it. */
export function applyRule(standardised: readonly number[], rule: ScoreRule): number {
  switch (rule.type) {
    case 'mean':
      return mean(standardised);
    case 'worst_case':
      return Math.min(...standardised);
    case 'uncertainty_weighted':
      return mean(standardised) - rule.lambda * deviation(standardised) ** 2;
  }
}

/** Aggregates standardised scores. An expert's contribution is what replacing its score by its mean, 0, takes away. */
export function combineScores(standardised: readonly number[], rule: ScoreRule): Aggregate {
  const reward = applyRule(standardised, rule);
  const contributions = standardised.map((_, k) => reward - applyRule(standardised.with(k, 0), rule));
  return { reward, contributions, expertSpread: deviation(standardised), headSpread: 0 };
}

/**
 * Aggregates the learned heads' answers, [1 + K, H]: first the candidate's own, then one row per expert with that
 * expert's embedding at its mean. `standardised` [K] tells the experts' disagreement.
 */
export function combineHeads(rows: ArrayLike<number>, standardised: readonly number[]): Aggregate {
  const headCount = rows.length / (standardised.length + 1);
  const row = (r: number): number[] =>
    Array.from({ length: headCount }, (_, h) => rows[r * headCount + h] ?? NaN);
  const own = row(0);
  const reward = mean(own);
  const contributions = standardised.map((_, k) => reward - mean(row(k + 1)));
  return { reward, contributions, expertSpread: deviation(standardised), headSpread: deviation(own) };
}

/** Whether every number of an aggregate is finite: nothing else may leave the service. */
export function isFinite({ reward, contributions, expertSpread, headSpread }: Aggregate): boolean {
  return [reward, ...contributions, expertSpread, headSpread].every(Number.isFinite);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of the population: the experts are all there are, not a sample. */
function deviation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
}

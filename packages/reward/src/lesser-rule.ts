import type { ScoreScale } from './combine';

/** A reward without the aggregator. */
export interface LesserReward {
  readonly reward: number;
  /** [K] */
  readonly contributions: readonly number[];
  /** Standard deviation over the experts' standardised scores. */
  readonly expertSpread: number;
}

/**
 * What the router answers when the aggregator is missing, marked as degraded: the mean of the experts' standardised
 * scores. Each contributes its share, as much as putting it at its own mean would take away.
 */
export function lesserReward(scores: ArrayLike<number>, scales: readonly ScoreScale[]): LesserReward {
  const standardised = scales.map(({ mean, std }, k) => ((scores[k] ?? NaN) - mean) / std);
  const contributions = standardised.map((z) => z / standardised.length);
  const reward = contributions.reduce((sum, share) => sum + share, 0);
  const variance = standardised.reduce((sum, z) => sum + (z - reward) ** 2, 0) / standardised.length;
  return { reward, contributions, expertSpread: Math.sqrt(variance) };
}

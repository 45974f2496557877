import type { Bundle } from '@dmoerm/bundle';
import { hashFraction } from '@dmoerm/dataset';
import { applyRule, standardise, type ScoreRule } from '@dmoerm/reward';
import type { Score } from '../scoring/score-cache';

/**
 * Ways to get a reward out of one bundle.
 * - `routed`: as the mesh answers by default
 * - `oracle`: the task that the data names instead of the router's
 * - `random_routing`: a task drawn uniformly per prompt; what the router is worth
 * - `mean_of_scores`, `worst_case` (min), `uncertainty_weighted` (mean - lambda x variance over the experts): rules over the
 *   routed task's standardised capability scores instead of the learned aggregator (Coste et al. 2023, arXiv 2310.02743)
 */
export const VARIANTS = [
  'routed',
  'oracle',
  'random_routing',
  'mean_of_scores',
  'worst_case',
  'uncertainty_weighted',
] as const;

/** One of them. */
export type Variant = (typeof VARIANTS)[number];

/** Settings of the baselines. */
export interface VariantOptions {
  /** Of random routing. */
  readonly seed: number;
  /** Weight of the variance. */
  readonly lambda: number;
}

/** A prompt as variants see it. */
export interface RoutedPrompt {
  /** Digest of the conversation. */
  readonly key: string;
  /** What the router chose. */
  readonly routed: string;
  /** What the data says, null where it says nothing. */
  readonly labelled: string | null;
}

/** The task that scores a prompt, or null if the bundle has no such task. */
export function taskOf(
  variant: Variant,
  { key, routed, labelled }: RoutedPrompt,
  taskNames: readonly string[],
  { seed }: VariantOptions,
): string | null {
  switch (variant) {
    case 'oracle':
      return labelled !== null && taskNames.includes(labelled) ? labelled : null;
    case 'random_routing':
      return taskNames[Math.floor(hashFraction(key, `random routing ${seed}`) * taskNames.length)] ?? null;
    default:
      return routed;
  }
}

/** The reward of a score under a variant, in the variant's own units. */
export function rewardOf(
  variant: Variant,
  score: Score,
  task: ReturnType<Bundle['task']>,
  { lambda }: VariantOptions,
): number {
  const rule = toRule(variant, lambda);
  if (rule === null) return score.reward;
  const scales = task.capabilities.map(({ score_mean: mean, score_std: std }) => ({ mean, std }));
  return applyRule(standardise(score.scores, scales), rule);
}

function toRule(variant: Variant, lambda: number): ScoreRule | null {
  switch (variant) {
    case 'mean_of_scores':
      return { type: 'mean' };
    case 'worst_case':
      return { type: 'worst_case' };
    case 'uncertainty_weighted':
      return { type: 'uncertainty_weighted', lambda };
    default:
      return null;
  }
}

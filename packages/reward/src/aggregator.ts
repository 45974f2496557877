import { DmoermError } from '@dmoerm/core';
import { combineHeads, combineScores, isFinite, standardise } from './combine';
import type { Aggregate, ScoreRule, ScoreScale } from './combine';
import type { Head } from './head';

/** How the experts' outputs become a reward. */
export type Rule = { readonly type: 'learned' } | ScoreRule;

/** What the K experts of a task say of one candidate. */
export interface ExpertOutputs {
  /** [K * d] */
  readonly embeddings: Float32Array;
  /** [K] */
  readonly scores: Float32Array;
}

/** The aggregator of one task. */
export interface TaskAggregator {
  /** Capability names; their number is K. */
  readonly capabilities: readonly string[];
  /** Per capability. */
  readonly scales: readonly ScoreScale[];
  /** d */
  readonly hiddenSize: number;
  /** Null if the bundle has no learned aggregator for the task. */
  readonly head: Head | null;
}

/** A reward, or why a candidate has none. */
export type Outcome =
  | { readonly type: 'aggregate'; readonly aggregate: Aggregate; readonly standardised: readonly number[] }
  | { readonly type: 'error'; readonly error: DmoermError };

/**
 * Aggregates the candidates of one task; what one gets does not depend on the others, to the bit.
 * @throws DmoermError FAILED_PRECONDITION, reason `NO_AGGREGATOR`, for the learned rule without a learned aggregator.
 */
export async function aggregate(
  task: TaskAggregator,
  candidates: readonly ExpertOutputs[],
  rule: Rule,
): Promise<readonly Outcome[]> {
  const standardised = candidates.map(({ scores }) => standardise(scores, task.scales));
  if (rule.type !== 'learned') return standardised.map((z) => check(combineScores(z, rule), z));
  if (task.head === null)
    throw new DmoermError({
      code: 'FAILED_PRECONDITION',
      reason: 'NO_AGGREGATOR',
      field: 'rule',
      message:
        'the bundle has no learned aggregator for this task; use MEAN, WORST_CASE or UNCERTAINTY_WEIGHTED',
    });
  const rewards = await task.head.rewards(candidates.map(({ embeddings }) => embeddings));
  return standardised.map((z, i) => check(combineHeads(rewards[i] ?? [], z), z));
}

function check(aggregated: Aggregate, standardised: readonly number[]): Outcome {
  if (isFinite(aggregated)) return { type: 'aggregate', aggregate: aggregated, standardised };
  const message = 'the reward of this candidate is NaN or infinite; it has none';
  return { type: 'error', error: new DmoermError({ code: 'INTERNAL', reason: 'NON_FINITE', message }) };
}

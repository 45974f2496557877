import type { Bundle } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import type { OnnxRunner } from '@dmoerm/onnx';
import { aggregate, loadAggregators, standardise, type ExpertOutputs } from '@dmoerm/reward';

/** Rewards of one task's candidates from what the experts say of them. */
export type Rewarder = (candidates: readonly ExpertOutputs[]) => Promise<number[]>;

/** What the experts of one task say of a candidate, made comparable: its K scores in standard deviations. */
export function standardiseScores(bundle: Bundle, task: string, scores: ArrayLike<number>): number[] {
  const scales = bundle.task(task).capabilities.map((own) => ({ mean: own.score_mean, std: own.score_std }));
  return standardise(scores, scales);
}

/**
 * The learned aggregator of each task, by task, as the aggregator service answers.
 * @throws DmoermError FAILED_PRECONDITION, reason `NO_AGGREGATOR`, for a task without one.
 */
export async function openRewarders(bundle: Bundle, runner: OnnxRunner): Promise<Map<string, Rewarder>> {
  const aggregators = await loadAggregators(bundle, runner);
  const rewarders = new Map<string, Rewarder>();
  for (const name of bundle.taskNames) {
    const task = aggregators.task(name);
    if (task.head === null)
      throw new DmoermError({
        code: 'FAILED_PRECONDITION',
        reason: 'NO_AGGREGATOR',
        field: `tasks: ${name}`,
        message: `the bundle has no learned aggregator for ${name}; there is no reward to compare`,
      });
    rewarders.set(name, async (candidates) => {
      const outcomes = await aggregate(task, candidates, { type: 'learned' });
      return outcomes.map((outcome) => {
        if (outcome.type === 'error') throw outcome.error;
        return outcome.aggregate.reward;
      });
    });
  }
  return rewarders;
}

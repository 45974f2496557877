import type { Bundle } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import type { OnnxRunner } from '@dmoerm/onnx';
import { mean } from '../statistics';

/** Rewards of one task's candidates from the experts' embeddings, [K * d] each. */
export type Rewarder = (embeddings: readonly Float32Array[]) => Promise<number[]>;

/** What the experts of one task say of a candidate, made comparable: its K scores in standard deviations. */
export function standardise(bundle: Bundle, task: string, scores: ArrayLike<number>): number[] {
  return bundle
    .task(task)
    .capabilities.map(({ score_mean: centre, score_std: std }, k) => ((scores[k] ?? NaN) - centre) / std);
}

/**
 * The learned aggregator of each task, by task: the mean of its heads, as the aggregator service answers.
 * @throws DmoermError FAILED_PRECONDITION, reason `NO_AGGREGATOR`, for a task without one.
 */
export async function openRewarders(bundle: Bundle, runner: OnnxRunner): Promise<Map<string, Rewarder>> {
  const rewarders = new Map<string, Rewarder>();
  for (const task of bundle.taskNames) {
    const { aggregator } = bundle.task(task);
    if (aggregator === null)
      throw new DmoermError({
        code: 'FAILED_PRECONDITION',
        reason: 'NO_AGGREGATOR',
        field: `tasks: ${task}`,
        message: `the bundle has no learned aggregator for ${task}; there is no reward to compare`,
      });
    const model = await runner.open(bundle.file(aggregator));
    rewarders.set(task, async (embeddings) => {
      const outputs = await model.run(
        embeddings.map((data) => ({
          embeddings: { type: 'float32', shape: [1, data.length], data: Float32Array.from(data) },
        })),
      );
      return outputs.map(({ rewards }) => mean(Array.from(rewards?.data ?? [], Number)));
    });
  }
  return rewarders;
}

import type { OnnxModel } from '@dmoerm/onnx';
import { DmoermError } from '@dmoerm/core';

/** The learned aggregator of one task. */
export interface Head {
  /**
   * Rewards of each candidate [K * d] and of its copies in which one expert's embedding is at its mean: per candidate
   * [1 + K, H], first its own.
   */
  rewards(candidates: readonly Float32Array[]): Promise<readonly Float32Array[]>;
}

/** Names in `aggregators/<task>.onnx`. */
const INPUT = 'embeddings';
const OUTPUT = 'rewards';

/**
 * A head on an ONNX model; `means` [K * d] are the experts' mean embeddings.
 *
 * Each candidate is a run of its own, always of 1 + K rows. onnxruntime chooses its kernels, and with them the rounding,
 * by the number of rows: in a shared batch a reward would depend on who else is in it.
 */
export function createHead(model: OnnxModel, means: Float32Array, expertCount: number): Head {
  const width = means.length;
  const d = width / expertCount;
  const rows = expertCount + 1;

  const feed = (candidate: Float32Array) => {
    const data = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) data.set(candidate, row * width);
    for (let k = 0; k < expertCount; k++)
      data.set(means.subarray(k * d, (k + 1) * d), (k + 1) * width + k * d);
    return { [INPUT]: { type: 'float32' as const, shape: [rows, width], data } };
  };

  return {
    rewards: async (candidates) => {
      const outputs = await model.run(candidates.map(feed));
      return outputs.map(({ [OUTPUT]: rewards }) => {
        if (rewards?.type !== 'float32' || rewards.shape.length !== 2 || rewards.shape[0] !== rows)
          throw new DmoermError({
            code: 'INTERNAL',
            reason: 'BAD_AGGREGATOR',
            message: `the aggregator's model must answer with float32 ${OUTPUT} [N, H]`,
          });
        return rewards.data;
      });
    },
  };
}

import { DmoermError, routingText } from '@dmoerm/core';
import type { Prompt } from '@dmoerm/core';
import type { OnnxModel } from '@dmoerm/onnx';
import { hashedFeatures } from '@dmoerm/tokenizer';
import type { FeatureSpec } from '@dmoerm/tokenizer';

/** Tells the probability of each task. */
export interface Classifier {
  /** One probability per label, for each prompt; what one prompt gets does not depend on the others. */
  classify(prompts: readonly Prompt[]): Promise<readonly Float32Array[]>;
}

/** A classifier over hashed features: `router.onnx` takes indices, blocks and values [n] and gives probabilities [labels]. */
export function createClassifier(model: OnnxModel, spec: FeatureSpec): Classifier {
  return {
    classify: async (prompts) => {
      const outputs = await model.run(
        prompts.map((prompt) => {
          const { indices, values, blocks } = hashedFeatures(routingText(prompt), spec);
          return {
            indices: { type: 'int64', shape: [indices.length], data: BigInt64Array.from(indices, BigInt) },
            blocks: { type: 'int64', shape: [blocks.length], data: BigInt64Array.from(blocks, BigInt) },
            values: { type: 'float32', shape: [values.length], data: Float32Array.from(values) },
          };
        }),
      );
      return outputs.map(({ probabilities }) => {
        if (probabilities?.type === 'float32') return probabilities.data;
        const message = "the router's model must answer with float32 probabilities [labels]";
        throw new DmoermError({ code: 'INTERNAL', reason: 'BAD_ROUTER', message });
      });
    },
  };
}

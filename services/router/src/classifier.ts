import { DmoermError, corrupt, routingText } from '@dmoerm/core';
import type { Prompt } from '@dmoerm/core';
import type { OnnxModel } from '@dmoerm/onnx';
import { hashedNgrams } from '@dmoerm/tokenizer';
import type { NgramSpec } from '@dmoerm/tokenizer';
import { z } from 'zod';

const range = z.tuple([z.int().min(1), z.int().min(0)]).readonly();
const featuresSchema: z.ZodType<NgramSpec> = z.strictObject({
  buckets: z.int().min(1),
  word_ngrams: range,
  char_ngrams: range,
  head_words: z.int().min(0),
});

/** The features of a bundle's router. @throws DmoermError DATA_LOSS, reason `BAD_MANIFEST`. */
export function parseFeatures(features: unknown): NgramSpec {
  const parsed = featuresSchema.safeParse(features);
  if (parsed.success) return parsed.data;
  const field = `dmoerm.json: router.features.${parsed.error.issues[0]?.path.join('.') ?? ''}`;
  throw corrupt(
    field,
    'BAD_MANIFEST',
    "the settings of the router's features are not those of hashed n-grams",
  );
}

/** Tells the probability of each task. */
export interface Classifier {
  /** One probability per label, for each prompt; what one prompt gets does not depend on the others. */
  classify(prompts: readonly Prompt[]): Promise<readonly Float32Array[]>;
}

/** A classifier over hashed n-grams: `router.onnx` takes indices and values [n] and gives probabilities [labels]. */
export function createClassifier(model: OnnxModel, spec: NgramSpec): Classifier {
  return {
    classify: async (prompts) => {
      const outputs = await model.run(
        prompts.map((prompt) => {
          const { indices, values } = hashedNgrams(routingText(prompt), spec);
          return {
            indices: { type: 'int64', shape: [indices.length], data: BigInt64Array.from(indices, BigInt) },
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

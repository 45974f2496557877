import { corrupt, invalidArgument } from '@dmoerm/core';
import type { ModelConfig } from './types';

/** Which optional tensors every layer of a base has. */
export interface LayerFeatures {
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  readonly qkNorm: boolean;
}

/** What a container says of its model. */
export interface Described {
  readonly config: ModelConfig;
  readonly features: LayerFeatures;
}

/** The families that can be read, for messages. */
export const SUPPORTED_ARCHITECTURES = ['llama', 'mistral', 'qwen2', 'qwen3'] as const;

/** @throws DmoermError DATA_LOSS naming `file` if the sizes of a config contradict each other. */
export function checkSizes(file: string, config: ModelConfig): void {
  const { headCount, kvHeadCount, headDim, hiddenSize } = config;
  if (headCount % kvHeadCount !== 0)
    throw corrupt(
      file,
      'BAD_MODEL_SIZES',
      `${file}: ${headCount} heads are not a multiple of ${kvHeadCount} key/value heads`,
    );
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw corrupt(
      file,
      'BAD_MODEL_SIZES',
      `${file}: head size ${headDim} is not an even number (hidden size ${hiddenSize}, ${headCount} heads)`,
    );
  const unusable = [...config.inverseFrequencies, config.ropeScale].find((value) => !Number.isFinite(value));
  if (unusable !== undefined)
    throw corrupt(file, 'BAD_ROPE', `${file}: its RoPE settings give frequencies that are not finite`);
}

/** An INVALID_ARGUMENT error about something in `file` that exists but cannot be computed here. */
export function unsupported(file: string, what: string, instead: string): Error {
  return invalidArgument(file, 'UNSUPPORTED_MODEL', `${file}: ${what} is not supported; ${instead}`);
}

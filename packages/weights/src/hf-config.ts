import { corrupt } from '@dmoerm/core';
import { z } from 'zod';
import {
  checkSizes,
  SUPPORTED_ARCHITECTURES,
  unsupported,
  type Described,
  type LayerFeatures,
} from './base-features';
import { readJson } from './file';
import { ropeFrequencies, yarnMagnitude, type RopeScaling } from './rope';
import type { Architecture } from './types';

const size = (most: number) => z.int().positive().max(most);
const positive = z.number().positive().finite();

const RopeParameters = z.object({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: positive.nullish(),
  factor: positive.nullish(),
  low_freq_factor: positive.optional(),
  high_freq_factor: positive.optional(),
  original_max_position_embeddings: positive.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  attention_factor: positive.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().optional(),
  partial_rotary_factor: z.number().nullish(),
});

const Named = z.object({ model_type: z.string() });
const Config = z.object({
  hidden_size: size(2 ** 20),
  intermediate_size: size(2 ** 22),
  num_hidden_layers: size(1024),
  num_attention_heads: size(2 ** 14),
  num_key_value_heads: size(2 ** 14).nullish(),
  head_dim: size(2 ** 14).nullish(),
  vocab_size: size(2 ** 24),
  max_position_embeddings: size(2 ** 30),
  rms_norm_eps: positive,
  hidden_act: z.string().default('silu'),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  rope_theta: positive.nullish(),
  rope_scaling: RopeParameters.nullish(),
  rope_parameters: RopeParameters.nullish(),
  partial_rotary_factor: z.number().nullish(),
  original_max_position_embeddings: positive.nullish(),
  sliding_window: size(2 ** 30).nullish(),
  use_sliding_window: z.boolean().default(false),
  max_window_layers: z.int().nonnegative().default(28),
  layer_types: z.array(z.string()).nullish(),
  quantization_config: z.unknown().optional(),
});
type Config = z.output<typeof Config>;

/**
 * What `config.json` says of a base.
 * @throws DmoermError INVALID_ARGUMENT, reason `UNSUPPORTED_MODEL`, naming what is not supported and what is; DATA_LOSS; NOT_FOUND.
 */
export async function readHfConfig(file: string): Promise<Described> {
  const { model_type: name } = await readJson(file, Named);
  const architecture = SUPPORTED_ARCHITECTURES.find((known) => known === name);
  if (architecture === undefined)
    throw unsupported(
      file,
      `architecture ${name.slice(0, 64)}`,
      `supported are ${SUPPORTED_ARCHITECTURES.join(', ')}`,
    );
  return describe(file, architecture, await readJson(file, Config));
}

function describe(file: string, architecture: Architecture, raw: Config): Described {
  if (raw.hidden_act !== 'silu')
    throw unsupported(file, `hidden_act ${raw.hidden_act.slice(0, 64)}`, 'supported is silu');
  if (raw.quantization_config != null)
    throw unsupported(file, 'quantization_config', 'use the unquantised weights, or a GGUF file');
  const headDim = headSize(architecture, raw);
  const rope = readRope(file, raw);
  const config = {
    architecture,
    hiddenSize: raw.hidden_size,
    layerCount: raw.num_hidden_layers,
    headCount: raw.num_attention_heads,
    kvHeadCount: raw.num_key_value_heads ?? raw.num_attention_heads,
    headDim,
    ffnSize: raw.intermediate_size,
    vocabSize: raw.vocab_size,
    maxPositions: raw.max_position_embeddings,
    rmsNormEps: raw.rms_norm_eps,
    ...ropeFrequencies(headDim, rope.theta, rope.scaling),
    slidingWindows: slidingWindows(file, architecture, raw),
    tiedEmbeddings: raw.tie_word_embeddings,
  };
  checkSizes(file, config);
  return { config, features: layerFeatures(architecture, raw) };
}

function headSize(architecture: Architecture, raw: Config): number {
  // Qwen3 alone does not derive an unstated head size from the hidden size.
  if (architecture === 'qwen3') return raw.head_dim ?? 128;
  const derived = Math.floor(raw.hidden_size / raw.num_attention_heads);
  return architecture === 'qwen2' ? derived : (raw.head_dim ?? derived);
}

function layerFeatures(architecture: Architecture, raw: Config): LayerFeatures {
  const biased = (architecture === 'llama' || architecture === 'qwen3') && raw.attention_bias;
  return {
    qkvBias: architecture === 'qwen2' || biased,
    outputBias: biased,
    mlpBias: architecture === 'llama' && raw.mlp_bias,
    qkNorm: architecture === 'qwen3',
  };
}

function slidingWindows(file: string, architecture: Architecture, raw: Config): number[] {
  const layers = Array.from({ length: raw.num_hidden_layers }, (_, layer) => layer);
  if (architecture === 'llama') return layers.map(() => 0);
  // An absent key means transformers' default, null means no window.
  const window = raw.sliding_window === undefined ? 4096 : (raw.sliding_window ?? 0);
  if (architecture === 'mistral') return layers.map(() => window);
  const types =
    raw.layer_types ??
    layers.map((i) => (i >= raw.max_window_layers ? 'sliding_attention' : 'full_attention'));
  if (types.length !== layers.length)
    throw corrupt(
      `${file}: layer_types`,
      'BAD_LAYER_TYPES',
      `${file}: layer_types has ${types.length} entries for ${layers.length} layers`,
    );
  const unknown = types.find((type) => type !== 'sliding_attention' && type !== 'full_attention');
  if (unknown !== undefined)
    throw unsupported(
      file,
      `layer type ${unknown.slice(0, 64)}`,
      'supported are full_attention and sliding_attention',
    );
  return types.map((type) => (raw.use_sliding_window && type === 'sliding_attention' ? window : 0));
}

function readRope(file: string, raw: Config): { theta: number; scaling: RopeScaling } {
  const parameters = raw.rope_scaling ?? raw.rope_parameters ?? {};
  const partial = parameters.partial_rotary_factor ?? raw.partial_rotary_factor ?? 1;
  if (partial !== 1)
    throw unsupported(file, `partial_rotary_factor ${partial}`, 'supported is 1 (RoPE over the whole head)');
  const theta = parameters.rope_theta ?? raw.rope_theta ?? 10_000;
  return { theta, scaling: readScaling(file, raw, parameters) };
}

function readScaling(file: string, raw: Config, parameters: z.output<typeof RopeParameters>): RopeScaling {
  const type = parameters.rope_type ?? parameters.type ?? 'default';
  const need = <T>(key: string, value: T | null | undefined): T => {
    if (value == null)
      throw corrupt(`${file}: ${key}`, 'MISSING_ROPE_SETTING', `${file}: RoPE scaling ${type} needs ${key}`);
    return value;
  };
  const originalMaxPositions =
    raw.original_max_position_embeddings ??
    parameters.original_max_position_embeddings ??
    raw.max_position_embeddings;
  switch (type) {
    case 'default':
      return { type };
    case 'linear':
      return { type, factor: need('factor', parameters.factor) };
    case 'llama3':
      return {
        type,
        factor: need('factor', parameters.factor),
        lowFreqFactor: need('low_freq_factor', parameters.low_freq_factor),
        highFreqFactor: need('high_freq_factor', parameters.high_freq_factor),
        originalMaxPositions,
      };
    case 'yarn': {
      const factor = parameters.factor ?? raw.max_position_embeddings / originalMaxPositions;
      const { mscale, mscale_all_dim: mscaleAll } = parameters;
      const ratio =
        mscale && mscaleAll ? yarnMagnitude(factor, mscale) / yarnMagnitude(factor, mscaleAll) : null;
      return {
        type,
        factor,
        originalMaxPositions,
        betaFast: parameters.beta_fast ?? 32,
        betaSlow: parameters.beta_slow ?? 1,
        attentionFactor: parameters.attention_factor ?? ratio,
        truncate: parameters.truncate ?? true,
      };
    }
    default:
      throw unsupported(
        file,
        `RoPE scaling ${type.slice(0, 64)}`,
        'supported are default, linear, llama3, yarn',
      );
  }
}

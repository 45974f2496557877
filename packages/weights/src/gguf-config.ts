import { corrupt } from '@dmoerm/core';
import { checkSizes, unsupported, type Described } from './base-features';
import type { Gguf } from './gguf';
import type { GgufValue } from './gguf-metadata';
import { readTensorF32 } from './read-tensor';
import { ropeFrequencies, type RopeScaling } from './rope';
import type { Architecture, TensorRef } from './types';

/** Architectures of GGUF files; `llama` is also what Mistral models are converted to. */
const ARCHITECTURES: readonly Architecture[] = ['llama', 'qwen2', 'qwen3'];
const ROPE_FACTORS = 'rope_freqs.weight';

/**
 * What GGUF metadata says of a base. Optional tensors (biases) are recognised by their presence in the first layer: the format has
 * no key for them.
 * @throws DmoermError INVALID_ARGUMENT, reason `UNSUPPORTED_MODEL`, naming what is not supported and what is; DATA_LOSS.
 */
export async function readGgufConfig(file: string, gguf: Gguf): Promise<Described> {
  const name = gguf.metadata.get('general.architecture');
  const architecture = ARCHITECTURES.find((known) => known === name);
  if (architecture === undefined)
    throw unsupported(
      file,
      `architecture ${typeof name === 'string' ? name.slice(0, 64) : 'without a name'}`,
      `supported in GGUF are ${ARCHITECTURES.join(', ')}`,
    );
  const keys = new ArchitectureKeys(file, architecture, gguf.metadata);
  refuseVariants(file, keys);
  const hiddenSize = keys.size('embedding_length', 2 ** 20);
  const headCount = keys.size('attention.head_count', 2 ** 14);
  const headDim = keys.has('attention.key_length')
    ? keys.size('attention.key_length', 2 ** 14)
    : hiddenSize / headCount;
  checkHead(file, keys, headDim);
  const layerCount = keys.size('block_count', 1024);
  const config = {
    architecture,
    hiddenSize,
    layerCount,
    headCount,
    kvHeadCount: keys.has('attention.head_count_kv')
      ? keys.size('attention.head_count_kv', 2 ** 14)
      : headCount,
    headDim,
    ffnSize: keys.size('feed_forward_length', 2 ** 22),
    vocabSize: embeddingRows(file, gguf),
    maxPositions: keys.size('context_length', 2 ** 30),
    rmsNormEps: keys.number('attention.layer_norm_rms_epsilon'),
    ...(await rope(file, keys, gguf.tensors.get(ROPE_FACTORS), headDim)),
    slidingWindows: Array.from({ length: layerCount }, () => 0),
    tiedEmbeddings: !gguf.tensors.has('output.weight'),
  };
  checkSizes(file, config);
  const has = (tensor: string): boolean => gguf.tensors.has(`blk.0.${tensor}`);
  return {
    config,
    features: {
      qkvBias: architecture === 'qwen2' || has('attn_q.bias'),
      outputBias: has('attn_output.bias'),
      mlpBias: has('ffn_gate.bias'),
      qkNorm: architecture === 'qwen3',
    },
  };
}

/** Metadata under the architecture's prefix, typed. */
class ArchitectureKeys {
  constructor(
    readonly file: string,
    readonly architecture: Architecture,
    readonly metadata: ReadonlyMap<string, GgufValue>,
  ) {}

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }
  get(key: string): GgufValue | undefined {
    return this.metadata.get(`${this.architecture}.${key}`);
  }
  number(key: string, otherwise?: number): number {
    const value = this.get(key) ?? otherwise;
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0)
      throw this.#wrong(key, 'a positive number');
    return value;
  }
  size(key: string, most: number): number {
    const value = this.number(key);
    if (!Number.isInteger(value) || value > most) throw this.#wrong(key, `a whole number up to ${most}`);
    return value;
  }
  #wrong(key: string, wanted: string): Error {
    const name = `${this.architecture}.${key}`;
    return corrupt(`${this.file}: ${name}`, 'BAD_METADATA', `${this.file}: ${name} must be ${wanted}`);
  }
}

/** Refuses metadata that changes the forward pass in ways that are not computed. */
function refuseVariants(file: string, keys: ArchitectureKeys): void {
  const experts = keys.get('expert_count');
  if (experts !== undefined && experts !== 0)
    throw unsupported(file, 'a mixture-of-experts base', 'use a dense model');
  const window = keys.get('attention.sliding_window');
  if (window !== undefined && window !== 0)
    throw unsupported(file, 'a sliding window in GGUF', 'use the Hugging Face folder of the model');
}

function checkHead(file: string, keys: ArchitectureKeys, headDim: number): void {
  for (const key of ['rope.dimension_count', 'attention.value_length']) {
    if (!keys.has(key)) continue;
    const value = keys.size(key, 2 ** 14);
    if (value !== headDim)
      throw unsupported(file, `${key} ${value} beside a head size of ${headDim}`, 'they must be equal');
  }
}

function embeddingRows(file: string, gguf: Gguf): number {
  const rows = gguf.tensors.get('token_embd.weight')?.shape[0];
  if (rows === undefined)
    throw corrupt(`${file}: token_embd.weight`, 'MISSING_TENSOR', `${file} has no tensor token_embd.weight`);
  return rows;
}

async function rope(file: string, keys: ArchitectureKeys, factors: TensorRef | undefined, headDim: number) {
  const plain = ropeFrequencies(headDim, keys.number('rope.freq_base', 10_000), scaling(file, keys));
  if (factors === undefined) return plain;
  const divisors = await readTensorF32(factors);
  if (divisors.length !== headDim / 2 || divisors.some((divisor) => divisor <= 0))
    throw corrupt(
      `${file}: ${ROPE_FACTORS}`,
      'BAD_ROPE',
      `${file}: ${ROPE_FACTORS} has ${divisors.length} values; ${headDim / 2} positive ones are needed`,
    );
  return {
    ...plain,
    inverseFrequencies: plain.inverseFrequencies.map((frequency, i) =>
      Math.fround(frequency / (divisors[i] ?? 1)),
    ),
  };
}

function scaling(file: string, keys: ArchitectureKeys): RopeScaling {
  const type = keys.get('rope.scaling.type') ?? (keys.has('rope.scale_linear') ? 'linear' : 'none');
  switch (type) {
    case 'none':
      return { type: 'default' };
    case 'linear':
      return {
        type,
        factor: keys.number(keys.has('rope.scaling.factor') ? 'rope.scaling.factor' : 'rope.scale_linear'),
      };
    case 'yarn': {
      const factor = keys.number('rope.scaling.factor');
      return {
        type,
        factor,
        originalMaxPositions: keys.number('rope.scaling.original_context_length'),
        betaFast: keys.number('rope.scaling.yarn_beta_fast', 32),
        betaSlow: keys.number('rope.scaling.yarn_beta_slow', 1),
        attentionFactor: keys.has('rope.scaling.attn_factor')
          ? keys.number('rope.scaling.attn_factor') * (1 + 0.1 * Math.log(factor))
          : null,
        truncate: true,
      };
    }
    default:
      throw unsupported(
        file,
        `RoPE scaling ${String(type).slice(0, 64)}`,
        'supported in GGUF are none, linear, yarn, rope_freqs.weight',
      );
  }
}

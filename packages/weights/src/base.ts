import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { corrupt, invalidArgument } from '@dmoerm/core';
import type { Described, LayerFeatures } from './base-features';
import { readCheckpoint } from './checkpoint';
import { readGguf } from './gguf';
import { readGgufConfig } from './gguf-config';
import { canonicalGgufName, isGgufRopeInterleaved } from './gguf-names';
import { readHfConfig } from './hf-config';
import type { BaseModel, BaseTensor, ModelConfig, TensorRef } from './types';

/** Buffers that are computed anew. */
const IGNORED = /^(rope_freqs\.weight|(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq)$/;
/** Has no part in hidden states: a base without it scores. Beside tied embeddings it is a copy of them. */
const HEAD = 'lm_head.weight';

/**
 * Opens a base: a Hugging Face folder (`config.json` and safetensors) or a `.gguf` file. Every tensor that the config asks for must be
 * there with its shape, and none besides.
 * @throws DmoermError NOT_FOUND; DATA_LOSS naming file and tensor; INVALID_ARGUMENT, reason `UNSUPPORTED_*`, naming what is not
 *   supported and what would work.
 */
export async function openBase(path: string): Promise<BaseModel> {
  const absolute = resolve(path);
  return (await isFolder(absolute)) ? openFolder(absolute) : openGguf(absolute);
}

async function isFolder(path: string): Promise<boolean> {
  // A path that cannot be looked at is tried as a file: opening it reports what is wrong.
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

async function openFolder(folder: string): Promise<BaseModel> {
  const described = await readHfConfig(join(folder, 'config.json'));
  const named = [...(await readCheckpoint(folder)).values()].map((tensor) => ({
    ...tensor,
    name: tensor.name.replace(/^model\./, ''),
    ropeInterleaved: false,
  }));
  return assemble(folder, described, named);
}

async function openGguf(file: string): Promise<BaseModel> {
  const gguf = await readGguf(file);
  const described = await readGgufConfig(file, gguf);
  const named = [...gguf.tensors.values()].map((tensor) => ({
    ...tensor,
    name: canonicalGgufName(tensor.name),
    ropeInterleaved: described.config.architecture === 'llama' && isGgufRopeInterleaved(tensor.name),
  }));
  return assemble(file, described, named);
}

/** Matches the tensors of a container with those that the config asks for. */
function assemble(path: string, { config, features }: Described, found: readonly BaseTensor[]): BaseModel {
  const byName = new Map(
    found.filter((tensor) => !IGNORED.test(tensor.name)).map((tensor) => [tensor.name, tensor]),
  );
  const tensors = new Map<string, BaseTensor>();
  for (const [name, shape] of expectedTensors(config, features)) {
    const tensor = byName.get(name);
    if (tensor === undefined)
      throw corrupt(`${path}: ${name}`, 'MISSING_TENSOR', `${path} has no tensor ${name}`);
    checkShape(path, tensor, shape);
    tensors.set(name, tensor);
    byName.delete(name);
  }
  const head = byName.get(HEAD);
  if (head !== undefined && !config.tiedEmbeddings) {
    checkShape(path, head, [config.vocabSize, config.hiddenSize]);
    tensors.set(HEAD, head);
  }
  byName.delete(HEAD);
  const [extra] = byName.keys();
  if (extra !== undefined)
    throw invalidArgument(
      `${path}: ${extra.slice(0, 80)}`,
      'UNSUPPORTED_TENSOR',
      `${path}: tensor ${JSON.stringify(extra.slice(0, 80))} has no place in a ${config.architecture} model of this config; ` +
        'merge adapters into the base and remove parts that are not the language model',
    );
  return { config, tensors };
}

function checkShape(path: string, tensor: TensorRef, shape: readonly number[]): void {
  if (tensor.shape.length === shape.length && tensor.shape.every((size, i) => size === shape[i])) return;
  throw corrupt(
    `${path}: ${tensor.name}`,
    'BAD_TENSOR_SHAPE',
    `${path}: tensor ${tensor.name} is [${tensor.shape.join(', ')}], the config asks for [${shape.join(', ')}]`,
  );
}

/** Names and shapes of all tensors of a base. */
function* expectedTensors(
  config: ModelConfig,
  features: LayerFeatures,
): Generator<[string, readonly number[]]> {
  const d = config.hiddenSize;
  yield ['embed_tokens.weight', [config.vocabSize, d]];
  yield ['norm.weight', [d]];
  for (let layer = 0; layer < config.layerCount; layer++)
    for (const [name, shape] of layerTensors(config, features)) yield [`layers.${layer}.${name}`, shape];
}

function* layerTensors(config: ModelConfig, features: LayerFeatures): Generator<[string, readonly number[]]> {
  const { hiddenSize: d, ffnSize, headDim } = config;
  const q = config.headCount * headDim;
  const kv = config.kvHeadCount * headDim;
  yield ['input_layernorm.weight', [d]];
  yield ['post_attention_layernorm.weight', [d]];
  yield* linear('self_attn.q_proj', q, d, features.qkvBias);
  yield* linear('self_attn.k_proj', kv, d, features.qkvBias);
  yield* linear('self_attn.v_proj', kv, d, features.qkvBias);
  yield* linear('self_attn.o_proj', d, q, features.outputBias);
  yield* linear('mlp.gate_proj', ffnSize, d, features.mlpBias);
  yield* linear('mlp.up_proj', ffnSize, d, features.mlpBias);
  yield* linear('mlp.down_proj', d, ffnSize, features.mlpBias);
  if (!features.qkNorm) return;
  yield ['self_attn.q_norm.weight', [headDim]];
  yield ['self_attn.k_norm.weight', [headDim]];
}

function* linear(
  name: string,
  out: number,
  inner: number,
  bias: boolean,
): Generator<[string, readonly number[]]> {
  yield [`${name}.weight`, [out, inner]];
  if (bias) yield [`${name}.bias`, [out]];
}

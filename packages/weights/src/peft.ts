import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { corrupt, invalidArgument } from '@dmoerm/core';
import { linearSize, LORA_TARGETS } from './lora-size';
import { readLoraConfig, type LoraConfig } from './peft-config';
import { readSafetensors } from './safetensors';
import type { LoraAdapter, LoraModule, LoraTarget, ModelConfig, TensorRef } from './types';

const WEIGHTS = 'adapter_model.safetensors';
const PREFIX = /^base_model\.model\.(?:model\.)?/;
const HEAD = 'score.weight';
const MODULE =
  /^layers\.(\d{1,4})\.(?:self_attn\.([qkvo]_proj)|mlp\.((?:gate|up|down)_proj))\.lora_([AB])\.weight$/;
/** Tensors of adapter kinds that cannot be computed, by what to call them. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/lora_magnitude_vector/, 'DoRA'],
  [/lora_embedding_[AB]|embed_tokens|lm_head/, 'an adapter on embeddings or the language-model head'],
  [/\.bias$/, 'a trained bias'],
];

/**
 * Opens a PEFT LoRA folder and checks it against a base. The tensors that are there decide which modules it has, the config decides
 * their scales. Modules come by layer, then by target.
 * @throws DmoermError INVALID_ARGUMENT, reason `UNSUPPORTED_ADAPTER` (naming the option) or `ADAPTER_BASE_MISMATCH` (with both sizes);
 *   DATA_LOSS if config and tensors disagree; NOT_FOUND.
 */
export async function openAdapter(folder: string, config: ModelConfig): Promise<LoraAdapter> {
  const directory = resolve(folder);
  const lora = await readLoraConfig(join(directory, 'adapter_config.json'));
  const file = join(directory, WEIGHTS);
  if (!existsSync(file) && existsSync(join(directory, 'adapter_model.bin')))
    throw invalidArgument(
      directory,
      'UNSUPPORTED_ADAPTER',
      `${directory} holds adapter_model.bin; save it as ${WEIGHTS}`,
    );
  const { tensors } = await readSafetensors(file);
  const pairs = new Map<string, ModulePair>();
  let head: TensorRef | null = null;
  for (const tensor of tensors.values()) {
    const name = tensor.name.replace(PREFIX, '');
    if (name === HEAD) head = checkHead(tensor, config);
    else addToPair(pairs, tensor, name);
  }
  const modules = [...pairs.values()].map((pair) => toModule(file, pair, lora, config));
  if (modules.length === 0) throw corrupt(file, 'EMPTY_ADAPTER', `${file} has no LoRA tensors`);
  checkInvocation(directory, lora, config);
  modules.sort(
    (m, n) => m.layer - n.layer || LORA_TARGETS.indexOf(m.target) - LORA_TARGETS.indexOf(n.target),
  );
  return { modules, invocationTokens: lora.invocationTokens, head };
}

interface ModulePair {
  /** As PEFT's patterns see it. */
  readonly path: string;
  readonly layer: number;
  readonly target: LoraTarget;
  a?: TensorRef;
  b?: TensorRef;
}

function addToPair(pairs: Map<string, ModulePair>, tensor: TensorRef, name: string): void {
  const [, layer, attention, mlp, matrix] = MODULE.exec(name) ?? [];
  const target = LORA_TARGETS.find((known) => known === (attention ?? mlp));
  if (layer === undefined || target === undefined) throw foreignTensor(tensor);
  const path = tensor.name.replace(/^base_model\.model\./, '').replace(/\.lora_[AB]\.weight$/, '');
  const pair = pairs.get(path) ?? { path, layer: Number(layer), target };
  pairs.set(path, pair);
  if (matrix === 'A') pair.a = tensor;
  else pair.b = tensor;
}

function foreignTensor({ file, name }: TensorRef): Error {
  const shown = JSON.stringify(name.slice(0, 120));
  const what = FOREIGN.find(([pattern]) => pattern.test(name))?.[1] ?? 'this tensor';
  return invalidArgument(
    `${file}: ${name.slice(0, 120)}`,
    'UNSUPPORTED_ADAPTER',
    `${file}: tensor ${shown}: ${what} is not supported; LoRA may act on ${LORA_TARGETS.join(', ')} of decoder layers`,
  );
}

function toModule(file: string, pair: ModulePair, lora: LoraConfig, config: ModelConfig): LoraModule {
  const { path, layer, target, a, b } = pair;
  if (a === undefined || b === undefined)
    throw corrupt(`${file}: ${path}`, 'MISSING_TENSOR', `${file}: ${path} has only one of lora_A and lora_B`);
  if (layer >= config.layerCount)
    throw mismatch(file, path, `it has layer ${layer}`, `the base has ${config.layerCount} layers`);
  if (!lora.covers(layer))
    throw corrupt(
      `${file}: ${path}`,
      'LAYER_NOT_CONFIGURED',
      `${file}: layer ${layer} is not in layers_to_transform`,
    );
  const { rank, scale } = lora.scaleOf(path);
  const { out, inner } = linearSize(target, config);
  if (a.shape.length !== 2 || b.shape.length !== 2 || a.shape[0] !== rank || b.shape[1] !== rank)
    throw corrupt(
      `${file}: ${path}`,
      'RANK_MISMATCH',
      `${file}: ${path} has A [${a.shape.join(', ')}] and B [${b.shape.join(', ')}], the config says rank ${rank}`,
    );
  if (a.shape[1] !== inner || b.shape[0] !== out)
    throw mismatch(file, path, `it maps ${a.shape[1]} to ${b.shape[0]}`, `the base ${inner} to ${out}`);
  return { layer, target, rank, scale, a, b };
}

function checkHead(tensor: TensorRef, config: ModelConfig): TensorRef {
  const [rows, width] = tensor.shape;
  if (tensor.shape.length !== 2 || rows !== 1)
    throw invalidArgument(
      `${tensor.file}: ${tensor.name}`,
      'UNSUPPORTED_ADAPTER',
      `${tensor.file}: a score head [${tensor.shape.join(', ')}] is not supported; it must be [1, hidden size]`,
    );
  if (width !== config.hiddenSize)
    throw mismatch(
      tensor.file,
      tensor.name,
      `its head has width ${width}`,
      `the base has hidden size ${config.hiddenSize}`,
    );
  return tensor;
}

function checkInvocation(directory: string, lora: LoraConfig, config: ModelConfig): void {
  const outside = lora.invocationTokens?.find((token) => token >= config.vocabSize);
  if (outside !== undefined)
    throw mismatch(
      directory,
      'alora_invocation_tokens',
      `it uses token ${outside}`,
      `the base has ${config.vocabSize} tokens`,
    );
}

function mismatch(file: string, part: string, adapter: string, base: string): Error {
  return invalidArgument(
    `${file}: ${part}`,
    'ADAPTER_BASE_MISMATCH',
    `${file}: the adapter is for another base: at ${part} ${adapter}, ${base}`,
  );
}

import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import { linearSize, LORA_TARGETS } from './lora-size';
import type { LoraModule, ModelConfig } from './types';
import { moduleName, peftConfig } from './write-peft-config';
import { writeSafetensors, type NamedTensor } from './write-safetensors';

/** LoRA on one linear layer, with its values: y += scale * B A x. */
export interface LoraValues extends Pick<LoraModule, 'layer' | 'target' | 'rank' | 'scale'> {
  /** [rank, in] */
  readonly a: Float32Array;
  /** [out, rank] */
  readonly b: Float32Array;
}

/** What a PEFT LoRA folder holds. */
export interface AdapterContent {
  readonly modules: readonly LoraValues[];
  /** Token ids that call an activated LoRA (arXiv 2504.12397); null for an ordinary one. */
  readonly invocationTokens: readonly number[] | null;
  /** Score head [d], saved as the classifier `score` of a sequence classification model with one label; null for none. */
  readonly head: Float32Array | null;
  /** How the modules' values are kept; the head is always float32. Default `F32`. */
  readonly type?: 'F32' | 'BF16';
  /** Name of the base, for people: PEFT looks it up only if it is asked to load the base too. */
  readonly baseName: string;
}

/**
 * Writes a LoRA adapter as PEFT saves it, `adapter_config.json` and `adapter_model.safetensors`, into a new folder.
 * `openAdapter` gives the same modules back to the bit (those of float32); for scales see `alphaOf`. The same content gives the same bytes.
 * @throws DmoermError INVALID_ARGUMENT naming module and field for what does not fit the base or is not finite; ALREADY_EXISTS.
 */
export async function writeAdapter(
  folder: string,
  content: AdapterContent,
  config: ModelConfig,
): Promise<void> {
  const modules = content.modules.toSorted(
    (m, n) => m.layer - n.layer || LORA_TARGETS.indexOf(m.target) - LORA_TARGETS.indexOf(n.target),
  );
  if (modules.length === 0)
    throw invalidArgument('modules', 'EMPTY_ADAPTER', 'an adapter has at least one module');
  for (const one of modules) checkModule(one, config);
  const tensors = modules.flatMap((one) => moduleTensors(one, config, content.type ?? 'F32'));
  if (content.head !== null) tensors.push(headTensor(content.head, config));
  const { invocationTokens, baseName } = content;
  const json = peftConfig({
    modules,
    baseName,
    invocationTokens,
    hasHead: content.head !== null,
    layerCount: config.layerCount,
  });
  await makeFolder(folder);
  try {
    await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, { format: 'pt' });
    await writeFile(join(folder, 'adapter_config.json'), `${JSON.stringify(json, null, 2)}\n`);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    const message = `${folder} is there already; choose another folder or remove it`;
    throw new DmoermError({
      code: 'ALREADY_EXISTS',
      reason: 'FOLDER_EXISTS',
      field: 'folder',
      message,
      cause,
    });
  }
}

function checkModule(module: LoraValues, config: ModelConfig): void {
  const name = moduleName(module);
  const { out, inner } = linearSize(module.target, config);
  const { layer, rank, scale, a, b } = module;
  const refuse = (field: string, what: string): never => {
    throw invalidArgument(`${name}.${field}`, 'BAD_MODULE', `${name}: ${field} ${what}`);
  };
  if (!Number.isInteger(layer) || layer < 0 || layer >= config.layerCount)
    refuse('layer', `must be below the base's ${config.layerCount} layers`);
  if (!Number.isInteger(rank) || rank < 1 || rank > 65_536) refuse('rank', 'must be 1 to 65,536');
  if (!(scale > 0 && Number.isFinite(Math.fround(scale)) && Math.fround(scale) > 0))
    refuse('scale', 'must be above 0 and finite as float32');
  if (a.length !== rank * inner) refuse('a', `has ${a.length} values, not [${rank}, ${inner}]`);
  if (b.length !== out * rank) refuse('b', `has ${b.length} values, not [${out}, ${rank}]`);
  if (!a.every(Number.isFinite)) refuse('a', 'holds values that are not finite');
  if (!b.every(Number.isFinite)) refuse('b', 'holds values that are not finite');
}

function moduleTensors(
  module: LoraValues,
  config: ModelConfig,
  type: NonNullable<NamedTensor['type']>,
): NamedTensor[] {
  const { out, inner } = linearSize(module.target, config);
  const name = `base_model.model.model.${moduleName(module)}`;
  return [
    { name: `${name}.lora_A.weight`, shape: [module.rank, inner], data: module.a, type },
    { name: `${name}.lora_B.weight`, shape: [out, module.rank], data: module.b, type },
  ];
}

function headTensor(head: Float32Array, { hiddenSize }: ModelConfig): NamedTensor {
  if (head.length !== hiddenSize || !head.every(Number.isFinite))
    throw invalidArgument(
      'head',
      'BAD_HEAD',
      `the score head must be ${hiddenSize} finite values; it has ${head.length}`,
    );
  return { name: 'base_model.model.score.weight', shape: [1, hiddenSize], data: head };
}

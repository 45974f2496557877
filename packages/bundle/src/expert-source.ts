import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { invalidArgument } from '@dmoerm/core';
import {
  openAdapter,
  openBase,
  readSafetensors,
  readTensorF32,
  type LoraAdapter,
  type ModelConfig,
  type TensorRef,
} from '@dmoerm/weights';

/** Score = weight . embedding + bias; weight [d]. */
export interface ExpertHead {
  readonly weight: Float32Array;
  readonly bias: number;
}

/** An expert that was trained elsewhere. */
export interface ExpertSource {
  /** Absolute path of its PEFT folder. */
  readonly folder: string;
  readonly adapter: LoraAdapter;
  readonly head: ExpertHead;
  /** File that the head came from. */
  readonly headFile: string;
}

/**
 * Opens a PEFT folder as an expert of a base: its modules must fit the base, every value must be finite, and it needs a score head of
 * one label: saved with the adapter (`modules_to_save`), or in a safetensors file of its own with `score.weight` or `weight`, [1, d] or
 * [d], and maybe `score.bias` or `bias`, [1].
 * @param basePath as `openBase` takes it
 * @throws DmoermError as `openAdapter`; INVALID_ARGUMENT, reason `NO_HEAD`, `TWO_HEADS` or `BAD_HEAD`; DATA_LOSS, reason
 *   `NON_FINITE_TENSOR`, naming file and tensor.
 */
export async function openExpertSource(
  path: string,
  headFile: string | null,
  basePath: string,
): Promise<ExpertSource> {
  const folder = resolve(path);
  const { config } = await openBase(basePath);
  const adapter = await openAdapter(folder, config);
  for (const { a, b } of adapter.modules) {
    await readTensorF32(a);
    await readTensorF32(b);
  }
  if (headFile !== null && adapter.head !== null)
    throw invalidArgument(
      'head',
      'TWO_HEADS',
      `${folder} has a score head of its own (${adapter.head.name}); leave out the file ${headFile}`,
    );
  if (headFile !== null) {
    const file = resolve(headFile);
    return { folder, adapter, head: await readHead(file, config), headFile: file };
  }
  if (adapter.head === null) throw noHead(folder);
  const weight = await readTensorF32(adapter.head);
  return { folder, adapter, head: { weight, bias: 0 }, headFile: adapter.head.file };
}

function noHead(folder: string): Error {
  const file = join(folder, 'adapter_model.safetensors');
  const pickle = ['value_head.bin', 'value_head.safetensors', 'head.safetensors'].find((name) =>
    existsSync(join(folder, name)),
  );
  return invalidArgument(
    file,
    'NO_HEAD',
    `${file} has no score head (base_model.model.score.weight): train with modules_to_save=["score"], or name the head's ` +
      `safetensors file${pickle === undefined ? '' : `; ${pickle} lies beside it`}`,
  );
}

async function readHead(file: string, config: ModelConfig): Promise<ExpertHead> {
  const { tensors } = await readSafetensors(file);
  const find = (part: string): TensorRef | undefined => tensors.get(`score.${part}`) ?? tensors.get(part);
  const weight = find('weight');
  const bias = find('bias');
  const d = config.hiddenSize;
  const refuse = (name: string, want: string, found: TensorRef | undefined): never => {
    const is = found === undefined ? 'missing' : `[${found.shape.join(', ')}]`;
    throw invalidArgument(
      `${file}: ${name}`,
      'BAD_HEAD',
      `${file}: ${name} must be ${want} for this base; it is ${is}`,
    );
  };
  if (weight === undefined || ![`1,${d}`, `${d}`].includes(weight.shape.join()))
    return refuse('score.weight or weight', `[1, ${d}] or [${d}]`, weight);
  if (bias !== undefined && !['1', ''].includes(bias.shape.join()))
    return refuse('score.bias or bias', '[1]', bias);
  const [offset = 0] = bias === undefined ? [] : await readTensorF32(bias);
  return { weight: await readTensorF32(weight), bias: offset };
}

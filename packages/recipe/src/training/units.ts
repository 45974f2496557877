import { existsSync, mkdirSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LearnedExpert, LoraShape, Trainer } from '@dmoerm/engine';
import {
  readSafetensors,
  readTensorF32,
  writeAdapter,
  writeSafetensors,
  type ModelConfig,
} from '@dmoerm/weights';
import type { ValueHead } from '../head';
import { createRandom } from '@dmoerm/core';
import type { Recipe } from './recipe';

/** What a trained unit leaves: a PEFT adapter in `adapter/`, its head, and this. */
export interface UnitResult {
  readonly unit: string;
  readonly steps: number;
  readonly best: { readonly step: number; readonly accuracy: number; readonly loss: number };
  /** Accuracy on validation of the head that training began with. */
  readonly probe: number;
  readonly training_pairs: number;
  readonly validation_pairs: number;
  readonly seconds: number;
}

/** The modules that a recipe's LoRA has on layers [first, layerCount). */
export function loraShapes({ lora }: Recipe, config: ModelConfig, first: number): LoraShape[] {
  const layers = Array.from({ length: config.layerCount - first }, (_, i) => first + i);
  return layers.flatMap((layer) =>
    lora.targets.map((target) => ({ layer, target, rank: lora.rank, scale: lora.alpha / lora.rank })),
  );
}

/** A as PEFT begins it, uniform in +-1 / sqrt(in), by the seed and the unit's name alone; B stays 0. */
export async function initialiseLora(
  trainer: Trainer,
  expert: number,
  unit: string,
  seed: number,
): Promise<void> {
  for (const { name, shape } of trainer.parameters) {
    const prefix = `experts.${expert}.`;
    if (!name.startsWith(prefix) || !name.endsWith('.lora_A')) continue;
    const random = createRandom(hash(`${seed} ${unit} ${name.slice(prefix.length)}`));
    const [rank = 0, inputs = 0] = shape;
    const bound = 1 / Math.sqrt(inputs);
    await trainer.write(
      name,
      Float32Array.from({ length: rank * inputs }, () => bound * (2 * random() - 1)),
    );
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  return state >>> 0;
}

/** Puts a head into the trainer. */
export async function putHead(trainer: Trainer, expert: number, { weight, bias }: ValueHead): Promise<void> {
  await trainer.write(`experts.${expert}.head.weight`, weight);
  await trainer.write(`experts.${expert}.head.bias`, Float32Array.of(bias));
}

/** Writes a unit's adapter, head and result; the result comes last, whole: a unit that has one is done. */
export async function writeUnit(
  folder: string,
  { modules, head }: LearnedExpert,
  invocationTokens: readonly number[],
  {
    config,
    name,
    type,
  }: { readonly config: ModelConfig; readonly name: string; readonly type: 'F32' | 'BF16' },
  result: UnitResult,
): Promise<void> {
  const adapter = join(folder, 'adapter');
  await rm(adapter, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await writeAdapter(
    adapter,
    {
      modules,
      invocationTokens: invocationTokens.length > 0 ? invocationTokens : null,
      head: null,
      type,
      baseName: name,
    },
    config,
  );
  await writeSafetensors(join(folder, 'head.safetensors'), [
    { name: 'weight', shape: [head.weight.length], data: head.weight },
    { name: 'bias', shape: [1], data: Float32Array.of(head.bias) },
  ]);
  const file = join(folder, 'result.json');
  await writeFile(`${file}.tmp`, `${JSON.stringify(result, null, 2)}\n`);
  await rename(`${file}.tmp`, file);
}

/** A unit's result and head, or null if it is not done. */
export async function readUnit(folder: string): Promise<{ result: UnitResult; head: ValueHead } | null> {
  const file = join(folder, 'result.json');
  if (!existsSync(file)) return null;
  const result = JSON.parse(await readFile(file, 'utf8')) as UnitResult;
  const { tensors } = await readSafetensors(join(folder, 'head.safetensors'));
  const read = async (name: string): Promise<Float32Array> => {
    const ref = tensors.get(name);
    if (ref === undefined) throw new Error(`${folder}/head.safetensors lacks ${name}`);
    return readTensorF32(ref);
  };
  return { result, head: { weight: await read('weight'), bias: (await read('bias'))[0] ?? NaN } };
}

import { existsSync, mkdirSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LoraShape, Trainer } from '@dmoerm/engine';
import { readSafetensors, readTensorF32, writeSafetensors, type ModelConfig } from '@dmoerm/weights';
import type { ValueHead } from '../head';
import { createRandom } from '../random';
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
  trainer: Trainer,
  expert: number,
  { lora }: Recipe,
  invocationTokens: readonly number[],
  result: UnitResult,
): Promise<void> {
  const adapter = join(folder, 'adapter');
  mkdirSync(adapter, { recursive: true });
  const prefix = `experts.${expert}.`;
  const own = trainer.parameters.filter(({ name }) => name.startsWith(prefix));
  const tensors = await Promise.all(
    own
      .filter(({ name }) => name.includes('.lora_'))
      .map(async ({ name, shape }) => ({
        name: `base_model.model.model.${name.slice(prefix.length)}.weight`,
        shape,
        data: await trainer.read(name),
      })),
  );
  await writeSafetensors(join(adapter, 'adapter_model.safetensors'), tensors);
  const layers = [...new Set(tensors.map(({ name }) => Number(/layers\.(\d+)\./.exec(name)?.[1])))];
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: lora.dropout,
    target_modules: lora.targets,
    layers_to_transform: layers.sort((a, b) => a - b),
    alora_invocation_tokens: invocationTokens.length > 0 ? invocationTokens : null,
    bias: 'none',
    init_lora_weights: true,
    inference_mode: true,
  };
  await writeFile(join(adapter, 'adapter_config.json'), `${JSON.stringify(config, null, 2)}\n`);
  const weight = await trainer.read(`${prefix}head.weight`);
  const bias = await trainer.read(`${prefix}head.bias`);
  await writeSafetensors(join(folder, 'head.safetensors'), [
    { name: 'weight', shape: [weight.length], data: weight },
    { name: 'bias', shape: [1], data: bias },
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

import type { LoraAdapter, LoraTarget, LoraValues } from '@dmoerm/weights';
import { readTensorF32 } from '@dmoerm/weights';
import type { LearnerSpec, Trainer } from './trainer';

/** What an expert has learned. */
export interface LearnedExpert {
  /** As `writeAdapter` of packages/weights takes them; empty for an expert without an adapter. */
  readonly modules: readonly LoraValues[];
  /** Score = weight . embedding + bias; weight [d]. */
  readonly head: { readonly weight: Float32Array; readonly bias: number };
}

/**
 * Reads expert `index` of a trainer that was opened with `spec` for it.
 * @throws DmoermError NOT_FOUND if the trainer learns no such expert.
 */
export async function readLearned(
  trainer: Trainer,
  index: number,
  spec: LearnerSpec,
): Promise<LearnedExpert> {
  const modules: LoraValues[] = [];
  for (const shape of spec.adapter) {
    const name = parameterName(index, shape);
    const [a, b] = [await trainer.read(`${name}.lora_A`), await trainer.read(`${name}.lora_B`)];
    modules.push({ ...shape, a, b });
  }
  const weight = await trainer.read(`experts.${index}.head.weight`);
  const [bias = 0] = await trainer.read(`experts.${index}.head.bias`);
  return { modules, head: { weight, bias } };
}

/**
 * Puts an adapter on disk into expert `index` of a trainer that was opened with its shapes.
 * @throws DmoermError NOT_FOUND if the trainer has no such module; INVALID_ARGUMENT for other shapes.
 */
export async function writeLearned(trainer: Trainer, index: number, { modules }: LoraAdapter): Promise<void> {
  for (const module of modules) {
    const name = parameterName(index, module);
    await trainer.write(`${name}.lora_A`, await readTensorF32(module.a));
    await trainer.write(`${name}.lora_B`, await readTensorF32(module.b));
  }
}

function parameterName(
  expert: number,
  { layer, target }: { readonly layer: number; readonly target: LoraTarget },
): string {
  const room = /^(gate|up|down)_/.test(target) ? 'mlp' : 'self_attn';
  return `experts.${expert}.layers.${layer}.${room}.${target}`;
}

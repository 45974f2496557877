import type { LoraValues } from '@dmoerm/weights';
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
    const room = /^(gate|up|down)_/.test(shape.target) ? 'mlp' : 'self_attn';
    const name = `experts.${index}.layers.${shape.layer}.${room}.${shape.target}`;
    const [a, b] = [await trainer.read(`${name}.lora_A`), await trainer.read(`${name}.lora_B`)];
    modules.push({ ...shape, a, b });
  }
  const weight = await trainer.read(`experts.${index}.head.weight`);
  const [bias = 0] = await trainer.read(`experts.${index}.head.bias`);
  return { modules, head: { weight, bias } };
}

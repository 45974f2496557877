import type { LoraTarget, ModelConfig } from '@dmoerm/weights';

/** Sizes of a decoder's linear layers; a `ModelConfig` has them all. */
export type Shape = Pick<
  ModelConfig,
  'hiddenSize' | 'layerCount' | 'headCount' | 'kvHeadCount' | 'headDim' | 'ffnSize' | 'vocabSize'
>;

/** Sizes of Qwen2.5-0.5B, but for its vocabulary: embeddings are looked up, so their number costs no time. */
export const HALF_BILLION: Shape = {
  hiddenSize: 896,
  layerCount: 24,
  headCount: 14,
  kvHeadCount: 2,
  headDim: 64,
  ffnSize: 4864,
  vocabSize: 32_000,
};

/** Two layers of Llama 3 8B: the others are like them. */
export const EIGHT_BILLION_LAYERS: Shape = {
  hiddenSize: 4096,
  layerCount: 2,
  headCount: 32,
  kvHeadCount: 8,
  headDim: 128,
  ffnSize: 14_336,
  vocabSize: 4096,
};

/** A set of linear layers that an adapter acts on. */
export type Targets = 'qv' | 'all';

const ATTENTION: readonly LoraTarget[] = ['q_proj', 'k_proj', 'v_proj', 'o_proj'];
const LINEARS: readonly LoraTarget[] = [...ATTENTION, 'gate_proj', 'up_proj', 'down_proj'];

/** The linear layers of a set. */
export function targetsOf(targets: Targets): readonly LoraTarget[] {
  return targets === 'qv' ? ['q_proj', 'v_proj'] : LINEARS;
}

/** Name of a linear layer inside its decoder layer, as in `self_attn.q_proj`. */
export function moduleName(target: LoraTarget): string {
  return `${ATTENTION.includes(target) ? 'self_attn' : 'mlp'}.${target}`;
}

/** [out, in] of a linear layer. */
export function linearShape(shape: Shape, target: LoraTarget): readonly [number, number] {
  const { hiddenSize: d, ffnSize } = shape;
  const q = shape.headCount * shape.headDim;
  const kv = shape.kvHeadCount * shape.headDim;
  const sizes: Readonly<Record<LoraTarget, readonly [number, number]>> = {
    q_proj: [q, d],
    k_proj: [kv, d],
    v_proj: [kv, d],
    o_proj: [d, q],
    gate_proj: [ffnSize, d],
    up_proj: [ffnSize, d],
    down_proj: [d, ffnSize],
  };
  return sizes[target];
}

/** All linear layers of a decoder layer with their shapes. */
export function linearLayers(shape: Shape): { target: LoraTarget; out: number; inner: number }[] {
  return LINEARS.map((target) => {
    const [out, inner] = linearShape(shape, target);
    return { target, out, inner };
  });
}

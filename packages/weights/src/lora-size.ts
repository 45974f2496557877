import type { LoraTarget, ModelConfig } from './types';

/** Linear layers that LoRA can act on, in the order in which an adapter's modules come. */
export const LORA_TARGETS: readonly LoraTarget[] = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
];

/** Outputs and inputs of a linear layer of the base: its weight is [out, inner]. */
export function linearSize(target: LoraTarget, config: ModelConfig): { out: number; inner: number } {
  const { hiddenSize, ffnSize, headDim } = config;
  const q = config.headCount * headDim;
  const kv = config.kvHeadCount * headDim;
  switch (target) {
    case 'q_proj':
      return { out: q, inner: hiddenSize };
    case 'k_proj':
    case 'v_proj':
      return { out: kv, inner: hiddenSize };
    case 'o_proj':
      return { out: hiddenSize, inner: q };
    case 'gate_proj':
    case 'up_proj':
      return { out: ffnSize, inner: hiddenSize };
    case 'down_proj':
      return { out: hiddenSize, inner: ffnSize };
  }
}

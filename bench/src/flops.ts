import type { LoraTarget } from '@dmoerm/weights';
import { linearLayers, linearShape, targetsOf, type Shape, type Targets } from './model/shape';

/** A prompt and its candidates. */
export interface Workload {
  /** Tokens; 0 for none. */
  readonly promptTokens: number;
  /** Tokens of each candidate. */
  readonly candidateTokens: number;
  /** N */
  readonly candidates: number;
}

/**
 * Floating-point operations (two per multiplication and addition) of one expert's pass over N candidates that share their prompt:
 * linear layers and causal attention, without adapters. In the last layer only the pooled rows need more than key and value, and no more
 * is counted: whoever computes all rows does more.
 */
export function baseFlops(shape: Shape, work: Workload): number {
  const linear = linearLayers(shape).reduce(
    (sum, { target, out, inner }) => sum + 2 * out * inner * rowsThrough(shape, target, work),
    0,
  );
  return linear + attentionFlops(shape, work);
}

/** Floating-point operations that a LoRA in all layers adds to that pass. */
export function loraFlops(shape: Shape, work: Workload, adapter: { targets: Targets; rank: number }): number {
  return targetsOf(adapter.targets).reduce((sum, target) => {
    const [out, inner] = linearShape(shape, target);
    return sum + 2 * adapter.rank * (out + inner) * rowsThrough(shape, target, work);
  }, 0);
}

/** Rows that go through a linear layer, summed over the decoder layers. */
function rowsThrough({ layerCount }: Shape, target: LoraTarget, work: Workload): number {
  const rows = work.promptTokens + work.candidates * work.candidateTokens;
  const last = target === 'k_proj' || target === 'v_proj' ? rows : work.candidates;
  return (layerCount - 1) * rows + last;
}

function attentionFlops(shape: Shape, { promptTokens, candidateTokens, candidates }: Workload): number {
  const perPair = 4 * shape.headCount * shape.headDim;
  const prompt = pairs(0, promptTokens);
  const candidate = pairs(promptTokens, candidateTokens);
  const pooled = pairs(promptTokens + candidateTokens - 1, 1);
  return perPair * ((shape.layerCount - 1) * (prompt + candidates * candidate) + candidates * pooled);
}

/** Pairs of rows at positions [first, first + rows) and positions up to theirs. */
function pairs(first: number, rows: number): number {
  return rows * first + (rows * (rows + 1)) / 2;
}

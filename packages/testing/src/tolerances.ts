/**
 * The one tolerance table: differences are relative to the largest reference value of the tensor. Nobody writes a tolerance
 * inside a test; widening a row needs its reason in the changelog.
 */
export const TOLERANCES = {
  /** CPU float32 against transformers + PEFT (float64 reference), embeddings: float32 rounding over a few dozen layers. */
  float32Embeddings: 1e-4,
  /** The same, value-head scores. */
  float32Scores: 1e-4,
  /** Gradients in float32 against autograd in float64: length and a projection, relative to the length. */
  float32Gradients: 1e-4,
  /** bfloat16 products, forward and backward, of the same. */
  bfloat16Gradients: 1e-1,
  /** Gradients against central differences of a loss in float32. */
  finiteDifferences: 1e-2,
  /** bfloat16 weights against float32: 8 bits of mantissa. */
  bfloat16Embeddings: 3e-2,
  /** 8-bit weights and activations against float32: a few per mille of the largest value at every product. */
  int8Embeddings: 7e-2,
} as const;

/** Largest |a - b| relative to the largest |b|; Infinity if lengths differ or a value is not finite. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const want = expected[i] ?? NaN;
    const error = Math.abs((actual[i] ?? NaN) - want);
    if (!Number.isFinite(error)) return Infinity;
    difference = Math.max(difference, error);
    largest = Math.max(largest, Math.abs(want));
  }
  return largest === 0 ? difference : difference / largest;
}

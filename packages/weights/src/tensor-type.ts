import type { TensorType } from './types';

/** How many elements a block of a type holds, and in how many bytes. Plain types are blocks of one element. */
export const BLOCKS: Readonly<Record<TensorType, { readonly elements: number; readonly bytes: number }>> = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q8_0: { elements: 32, bytes: 34 },
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q4_K: { elements: 256, bytes: 144 },
  Q6_K: { elements: 256, bytes: 210 },
};

/** Bytes of a tensor, or null if a row is not whole blocks or a size is beyond 2^53. */
export function tensorBytes(type: TensorType, shape: readonly number[]): number | null {
  const { elements, bytes } = BLOCKS[type];
  const row = shape.at(-1) ?? 1;
  if (row % elements !== 0) return null;
  const total = shape.reduce((product, size) => product * size, 1) * (bytes / elements);
  // One more product could round, so stay a factor of 2^8 below the last exact integer.
  return shape.every(Number.isSafeInteger) && total < 2 ** 45 ? Math.round(total) : null;
}

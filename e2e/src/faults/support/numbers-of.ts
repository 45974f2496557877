import type { ItemResult } from '@dmoerm/client';

/**
 * Every number of an item's answer: rewards, capability scores, contributions and uncertainties, candidate by candidate.
 * @throws the item's or a candidate's error.
 */
export function numbersOf(result: ItemResult | undefined): number[] {
  if (result?.type !== 'scored') throw result?.error ?? new Error('an item was lost');
  return result.candidates.flatMap((candidate) => {
    if (candidate.type === 'error') throw candidate.error;
    const { reward, capabilities, uncertainty } = candidate;
    const parts = capabilities.flatMap(({ score, contribution }) => [score, contribution]);
    return [reward, ...parts, uncertainty.experts, uncertainty.heads];
  });
}

/** The greatest difference; Infinity if the lengths differ or a number is none. */
export function greatestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Infinity;
  const differences = a.map((value, i) => Math.abs(value - (b[i] ?? NaN)));
  return differences.some(Number.isNaN) ? Infinity : Math.max(0, ...differences);
}

/** Cuts `values` into batches within a budget, in order; one that alone exceeds it is a batch of its own. */
export function packBatches<T>(values: readonly T[], cost: (value: T) => number, budget: number): T[][] {
  const batches: T[][] = [];
  let used = 0;
  for (const value of values) {
    const last = batches.at(-1);
    if (last !== undefined && used + cost(value) <= budget) {
      last.push(value);
      used += cost(value);
    } else {
      batches.push([value]);
      used = cost(value);
    }
  }
  return batches;
}

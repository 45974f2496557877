/**
 * Holm's adjusted p (Holm 1979): sorted upwards, p times the number of hypotheses that are left, never less than the one before, at
 * most 1. Same order as given.
 */
export function holm(p: readonly number[]): number[] {
  const order = p.map((_, i) => i).sort((a, b) => (p[a] ?? 0) - (p[b] ?? 0));
  const adjusted = new Array<number>(p.length);
  let largest = 0;
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (p.length - rank) * (p[index] ?? NaN)));
    adjusted[index] = largest;
  });
  return adjusted;
}

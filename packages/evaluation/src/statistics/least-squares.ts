/** Keeps columns that no row uses, or that say the same twice, from making the equations singular; of the diagonal's mean. */
const RIDGE = 1e-9;

/**
 * Coefficients b [F] that minimise |X b - y|^2, without intercept: the normal equations by Cholesky's decomposition (Golub & Van
 * Loan, algorithm 4.2.1), with a ridge of 1e-9 of the diagonal's mean.
 * @param rows X, [N][F]
 * @param targets y, [N]
 */
export function leastSquares(rows: readonly (readonly number[])[], targets: readonly number[]): number[] {
  const width = rows[0]?.length ?? 0;
  const gram = Array.from({ length: width }, () => new Float64Array(width));
  const right = new Float64Array(width);
  rows.forEach((row, n) => {
    for (let i = 0; i < width; i++) {
      right[i] = (right[i] as number) + (row[i] as number) * (targets[n] as number);
      for (let j = 0; j <= i; j++) {
        const own = gram[i] as Float64Array;
        own[j] = (own[j] as number) + (row[i] as number) * (row[j] as number);
      }
    }
  });
  const trace = gram.reduce((sum, own, i) => sum + (own[i] as number), 0);
  if (trace === 0) return new Array<number>(width).fill(0);
  const at = (i: number, j: number): number => (gram[i] as Float64Array)[j] as number;
  for (let i = 0; i < width; i++) (gram[i] as Float64Array)[i] = at(i, i) + (RIDGE * trace) / width;
  for (let i = 0; i < width; i++)
    for (let j = 0; j <= i; j++) {
      let sum = at(i, j);
      for (let k = 0; k < j; k++) sum -= at(i, k) * at(j, k);
      (gram[i] as Float64Array)[j] = i === j ? Math.sqrt(sum) : sum / at(j, j);
    }
  const solution = new Array<number>(width).fill(0);
  for (let i = 0; i < width; i++) {
    let sum = right[i] as number;
    for (let k = 0; k < i; k++) sum -= at(i, k) * (solution[k] as number);
    solution[i] = sum / at(i, i);
  }
  for (let i = width - 1; i >= 0; i--) {
    let sum = solution[i] as number;
    for (let k = i + 1; k < width; k++) sum -= at(k, i) * (solution[k] as number);
    solution[i] = sum / at(i, i);
  }
  return solution;
}

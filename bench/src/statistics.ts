/** A share of independent yes-or-no outcomes with its 95 % interval. */
export interface Share {
  readonly count: number;
  /** NaN, as the bounds, where nothing was counted. */
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Two-sided 95 % of a standard normal. */
const Z = 1.959963984540054;

/** Share of `hits` among `count` with Wilson's interval, which holds for shares near 1 too. */
export function wilson(hits: number, count: number): Share {
  const value = hits / count;
  const shrink = 1 + Z ** 2 / count;
  const centre = (value + Z ** 2 / (2 * count)) / shrink;
  const half = (Z / shrink) * Math.sqrt((value * (1 - value)) / count + Z ** 2 / (4 * count ** 2));
  return { count, value, low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** Arithmetic mean. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Root of the mean square. */
export function rootMeanSquare(values: readonly number[]): number {
  return Math.sqrt(mean(values.map((value) => value ** 2)));
}

/** Standard deviation of a population. */
export function deviation(values: readonly number[]): number {
  const centre = mean(values);
  return rootMeanSquare(values.map((value) => value - centre));
}

/** Pearson's correlation. */
export function correlation(a: readonly number[], b: readonly number[]): number {
  const meanA = mean(a);
  const meanB = mean(b);
  const covariance = mean(a.map((value, i) => (value - meanA) * ((b[i] ?? NaN) - meanB)));
  return covariance / (deviation(a) * deviation(b));
}

/** Smallest value that at least a share `q` of the values does not exceed. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? NaN;
}

/** Gold reward of best-of-n, R(d) = d (alpha - beta d), d = sqrt(KL) (arXiv 2210.10760, equation 1). */
export interface CurveFit {
  readonly alpha: number;
  readonly beta: number;
  /** d of the largest reward, alpha / (2 beta); infinite if the curve does not turn. */
  readonly peak: number;
}

/** Least squares through the origin. @param d more than one distinct positive value. */
export function fitCurve(d: readonly number[], reward: readonly number[]): CurveFit {
  let [dd, ddd, dddd, rd, rdd] = [0, 0, 0, 0, 0];
  d.forEach((x, i) => {
    const y = reward[i] as number;
    dd += x * x;
    ddd += x ** 3;
    dddd += x ** 4;
    rd += x * y;
    rdd += x * x * y;
  });
  const determinant = dd * dddd - ddd * ddd;
  const alpha = (rd * dddd - rdd * ddd) / determinant;
  const beta = (rd * ddd - rdd * dd) / determinant;
  return { alpha, beta, peak: beta > 0 ? alpha / (2 * beta) : Infinity };
}

/** Gold reward of reinforcement learning, R(d) = d (alpha - beta ln d) (arXiv 2210.10760, equation 2): as `fitCurve`, peak exp(alpha / beta - 1). */
export function fitLearningCurve(d: readonly number[], reward: readonly number[]): CurveFit {
  let [aa, ab, bb, ra, rb] = [0, 0, 0, 0, 0];
  d.forEach((x, i) => {
    const [y, z] = [reward[i] as number, x * Math.log(x)];
    aa += x * x;
    ab += x * z;
    bb += z * z;
    ra += x * y;
    rb += z * y;
  });
  const determinant = aa * bb - ab * ab;
  const alpha = (ra * bb - rb * ab) / determinant;
  const beta = (ra * ab - rb * aa) / determinant;
  return { alpha, beta, peak: beta > 0 ? Math.exp(alpha / beta - 1) : Infinity };
}

/** What a curve says of over-optimisation. */
export interface CurveFigures {
  /** Reward at the largest n. */
  readonly final: number;
  /** Largest reward on the way. */
  readonly best: number;
  /** `best` less `final`. */
  readonly drop: number;
  /**
   * Change over the last third of the points: unlike the drop it is not cut off at 0, so that a difference of two can exclude 0.
   */
  readonly late: number;
  /** Mean reward over d, by trapezoids. */
  readonly area: number;
}

/** @param d ascending, the first 0 */
export function curveFigures(d: readonly number[], reward: readonly number[]): CurveFigures {
  const final = reward.at(-1) as number;
  const best = Math.max(...reward);
  let area = 0;
  for (let i = 1; i < d.length; i++)
    area +=
      (((reward[i] as number) + (reward[i - 1] as number)) / 2) * ((d[i] as number) - (d[i - 1] as number));
  const before = reward[Math.floor((2 * (reward.length - 1)) / 3)] as number;
  return { final, best, drop: best - final, late: final - before, area: area / (d.at(-1) as number) };
}

/** An estimate with its bootstrap interval. */
export interface Estimate {
  readonly value: number;
  /** Bounds of the 95 % interval: the 2.5th and 97.5th percentile of the draws (Efron & Tibshirani 1993, section 13.3). */
  readonly low: number;
  readonly high: number;
  /** Standard deviation of the draws. */
  readonly standardError: number;
}

const TAIL = 0.025;

/** An estimate from its bootstrap draws, which are sorted in place; NaN bounds without draws. */
export function toEstimate(value: number, draws: Float64Array): Estimate {
  draws.sort();
  let sum = 0;
  for (const draw of draws) sum += draw;
  const centre = sum / draws.length;
  let squares = 0;
  for (const draw of draws) squares += (draw - centre) ** 2;
  return {
    value,
    low: draws[Math.floor(TAIL * draws.length)] ?? NaN,
    high: draws[Math.ceil((1 - TAIL) * draws.length) - 1] ?? NaN,
    standardError: Math.sqrt(squares / Math.max(1, draws.length - 1)),
  };
}

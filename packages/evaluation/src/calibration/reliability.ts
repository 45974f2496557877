/** A prediction that came true or not. */
export interface Prediction {
  /** In [0, 1]. */
  readonly confidence: number;
  /** 1: right, 0: wrong, 1/2: an exact tie. */
  readonly outcome: number;
}

/** Predictions of neighbouring confidence. */
export interface ReliabilityBin {
  readonly count: number;
  /** Means over the bin. */
  readonly confidence: number;
  readonly accuracy: number;
}

/** Bins of the expected calibration error. */
export const BINS = 15;

/**
 * Sorts predictions by confidence and cuts them into bins of equal mass: sizes differ by one at most; fewer bins than asked for if
 * there are fewer predictions (Nixon et al. 2019, adaptive calibration error).
 */
export function reliability(predictions: readonly Prediction[], bins = BINS): ReliabilityBin[] {
  const sorted = [...predictions].sort((a, b) => a.confidence - b.confidence);
  const count = Math.min(bins, sorted.length);
  return Array.from({ length: count }, (_, b) => {
    const own = sorted.slice(
      Math.round((b * sorted.length) / count),
      Math.round(((b + 1) * sorted.length) / count),
    );
    const mean = (value: (one: Prediction) => number): number =>
      own.reduce((sum, one) => sum + value(one), 0) / own.length;
    return {
      count: own.length,
      confidence: mean(({ confidence }) => confidence),
      accuracy: mean(({ outcome }) => outcome),
    };
  });
}

/** Expected calibration error (Guo et al. 2017, equation 3): sum over bins of share x |accuracy - confidence|. NaN without bins. */
export function expectedCalibrationError(bins: readonly ReliabilityBin[]): number {
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  return bins.reduce(
    (sum, { count, accuracy, confidence }) => sum + (count / total) * Math.abs(accuracy - confidence),
    total === 0 ? NaN : 0,
  );
}

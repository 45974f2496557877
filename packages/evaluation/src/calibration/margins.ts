import { expectedCalibrationError, reliability, type Prediction, type ReliabilityBin } from './reliability';
import { softplus } from './temperature';

/** How well sigmoid(margin / temperature) tells the probability that people agree. Means over pairs. */
export interface Calibration {
  readonly pairs: number;
  readonly ece: number;
  /** Mean of (1 - p)^2, p the probability given to what people preferred. */
  readonly brier: number;
  /** Mean of -log p. */
  readonly nll: number;
  readonly bins: readonly ReliabilityBin[];
}

/**
 * Calibration of margins (preferred minus other reward) that are divided by their temperatures. For the bins a pair counts as a
 * prediction of the response with the larger reward, so confidence is in [1/2, 1]; an exact tie has confidence 1/2 and is half right.
 */
export function calibrate(scaledMargins: readonly number[]): Calibration {
  const mean = (value: (margin: number) => number): number =>
    scaledMargins.reduce((sum, margin) => sum + value(margin), 0) / scaledMargins.length;
  const bins = reliability(
    scaledMargins.map((margin): Prediction => ({
      confidence: sigmoid(Math.abs(margin)),
      outcome: margin > 0 ? 1 : margin === 0 ? 0.5 : 0,
    })),
  );
  return {
    pairs: scaledMargins.length,
    ece: expectedCalibrationError(bins),
    brier: mean((margin) => sigmoid(-margin) ** 2),
    nll: mean((margin) => softplus(-margin)),
    bins,
  };
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

import { normal, shuffle } from '@dmoerm/core';
import { softplus } from '@dmoerm/evaluation';
import { AdamW } from './adamw';

/** One MLP of the recipe (section 1): r = w2 . PReLU(W1 u + b1) + b2, u the standardised embeddings [K * d]. */
export interface Mlp {
  /** [hidden, inputs] */
  readonly w1: Float64Array;
  readonly b1: Float64Array;
  readonly w2: Float64Array;
  /** One shared slope. */
  slope: number;
}

/** How to train one. */
export interface MlpOptions {
  /** Units, at least 2. */
  readonly hidden: number;
  readonly epochs: number;
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** Standardised inputs of the preferred and the other response, [inputs] each. */
export type ScaledPair = readonly [Float64Array, Float64Array];

const BATCH = 32;
/** Of the PReLU, to begin with. */
const SLOPE = 0.25;

/**
 * Trains an MLP on pairs; it keeps its state at the epoch with the smallest validation loss.
 * @param start [inputs]: the linear reward to begin with.
 */
export function trainMlp(
  train: readonly ScaledPair[],
  valid: readonly ScaledPair[],
  start: Float64Array,
  random: () => number,
  options: MlpOptions,
): Mlp {
  const inputs = start.length;
  const { hidden } = options;
  const mlp: Mlp = {
    w1: Float64Array.from({ length: hidden * inputs }, () => normal(random) / Math.sqrt(inputs)),
    b1: new Float64Array(hidden),
    w2: new Float64Array(hidden),
    slope: SLOPE,
  };
  // PReLU(m) - PReLU(-m) = (1 + slope) m: two units carry the linear reward; the others say nothing yet.
  start.forEach((weight, i) => {
    mlp.w1[i] = weight;
    mlp.w1[inputs + i] = -weight;
  });
  mlp.w2[0] = 1 / (1 + SLOPE);
  mlp.w2[1] = -1 / (1 + SLOPE);
  const w1 = new AdamW(mlp.w1, options);
  const b1 = new AdamW(mlp.b1, { ...options, weightDecay: 0 });
  const w2 = new AdamW(mlp.w2, options);
  let best = { loss: meanLoss(mlp, valid), mlp: copy(mlp) };
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    const order = shuffle(train, random);
    for (let at = 0; at < order.length; at += BATCH) {
      const gradient = batchGradient(mlp, order.slice(at, at + BATCH));
      w1.step(gradient.w1);
      b1.step(gradient.b1);
      w2.step(gradient.w2);
      mlp.slope -= options.learningRate * Math.sign(gradient.slope);
    }
    const loss = meanLoss(mlp, valid);
    if (loss < best.loss) best = { loss, mlp: copy(mlp) };
  }
  return best.mlp;
}

function copy({ w1, b1, w2, slope }: Mlp): Mlp {
  return { w1: w1.slice(), b1: b1.slice(), w2: w2.slice(), slope };
}

/** W1 u + b1. */
function preactivation({ w1, b1 }: Mlp, u: Float64Array): Float64Array {
  return b1.map((bias, h) => {
    let sum = bias;
    for (let i = 0, at = h * u.length; i < u.length; i++, at++) sum += (w1[at] ?? 0) * (u[i] ?? 0);
    return sum;
  });
}

function output({ w2, slope }: Mlp, a: Float64Array): number {
  return a.reduce((sum, value, h) => sum + (w2[h] ?? 0) * (value > 0 ? value : slope * value), 0);
}

/** r of inputs u. */
export function mlpReward(mlp: Mlp, u: Float64Array): number {
  return output(mlp, preactivation(mlp, u));
}

function meanLoss(mlp: Mlp, pairs: readonly ScaledPair[]): number {
  return (
    pairs.reduce(
      (sum, [chosen, rejected]) => sum + softplus(mlpReward(mlp, rejected) - mlpReward(mlp, chosen)),
      0,
    ) / pairs.length
  );
}

interface Gradient {
  readonly w1: Float64Array;
  readonly b1: Float64Array;
  readonly w2: Float64Array;
  slope: number;
}

function batchGradient(mlp: Mlp, batch: readonly ScaledPair[]): Gradient {
  const gradient: Gradient = {
    w1: new Float64Array(mlp.w1.length),
    b1: new Float64Array(mlp.b1.length),
    w2: new Float64Array(mlp.w2.length),
    slope: 0,
  };
  for (const pair of batch) {
    const active = pair.map((u) => preactivation(mlp, u));
    const margin = output(mlp, active[0] as Float64Array) - output(mlp, active[1] as Float64Array);
    const error = -1 / (1 + Math.exp(margin)) / batch.length;
    pair.forEach((u, side) =>
      addGradient(gradient, mlp, u, active[side] as Float64Array, side === 0 ? error : -error),
    );
  }
  return gradient;
}

/** Adds dr/dparameters times `error`. */
function addGradient(
  gradient: Gradient,
  { w2, slope }: Mlp,
  u: Float64Array,
  a: Float64Array,
  error: number,
): void {
  a.forEach((value, h) => {
    gradient.w2[h] = (gradient.w2[h] ?? 0) + error * (value > 0 ? value : slope * value);
    if (value <= 0) gradient.slope += error * (w2[h] ?? 0) * value;
    const back = error * (w2[h] ?? 0) * (value > 0 ? 1 : slope);
    gradient.b1[h] = (gradient.b1[h] ?? 0) + back;
    for (let i = 0, at = h * u.length; i < u.length; i++, at++)
      gradient.w1[at] = (gradient.w1[at] ?? 0) + back * (u[i] ?? 0);
  });
}

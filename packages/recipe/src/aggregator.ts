import { encodeOnnx } from '@dmoerm/onnx';
import { createRandom, normal, shuffle } from '@dmoerm/core';
import { softplus } from '@dmoerm/evaluation';
import { chooseHead, fitPairHead, headScore, standardiser, type EmbeddedPair, type ValueHead } from './head';

/** One MLP of the recipe (section 1): r = w2 . PReLU(W1 u + b1) + b2, u the standardised embeddings [K * d]. */
interface Mlp {
  /** [hidden, inputs] */
  readonly w1: Float64Array;
  readonly b1: Float64Array;
  readonly w2: Float64Array;
  /** One shared slope. */
  slope: number;
}

/** M heads on bootstrapped pairs: their mean is the reward, their spread its uncertainty. */
export interface Aggregator {
  readonly mean: Float64Array;
  readonly std: Float64Array;
  readonly heads: readonly Mlp[];
  readonly hidden: number;
}

/** How to train. */
export interface AggregatorOptions {
  /** Units of a head, at least 2. */
  readonly hidden: number;
  readonly heads: number;
  readonly epochs: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly seed: number;
}

const BATCH = 32;

/**
 * Trains the heads on pairwise loss softplus(-(r_chosen - r_rejected)), AdamW, each on a bootstrap of the pairs; each keeps its state
 * at the epoch with the smallest validation loss. Each begins as the best linear reward of scores or embeddings: what the
 * rest of the MLP adds is found by small steps, and is kept only if validation gains.
 * @param experts the K experts' heads; u is their embeddings, [K * d].
 */
export function trainAggregator(
  train: readonly EmbeddedPair[],
  valid: readonly EmbeddedPair[],
  experts: readonly ValueHead[],
  options: AggregatorOptions,
): Aggregator {
  const { mean, std } = standardiser(train.flatMap(({ chosen, rejected }) => [chosen, rejected]));
  const scaled = (pair: EmbeddedPair): ScaledPair => [
    scale(pair.chosen, mean, std),
    scale(pair.rejected, mean, std),
  ];
  const trainRows = train.map(scaled);
  const validRows = valid.map(scaled);
  const startOf = linearStart(train, valid, experts);
  const heads = Array.from({ length: options.heads }, (_, h) => {
    const random = createRandom(options.seed * 1000 + h);
    const sample = Array.from(train, () => Math.floor(random() * train.length));
    const own = sample.map((i) => trainRows[i] as ScaledPair);
    const start = startOf(sample.map((i) => train[i] as EmbeddedPair)).map((w, i) => w * (std[i] ?? 1));
    return trainHead(own, validRows, start, random, options);
  });
  return { mean, std, heads, hidden: options.hidden };
}

type ScaledPair = readonly [Float64Array, Float64Array];

function scale(u: Float32Array, mean: Float64Array, std: Float64Array): Float64Array {
  return mean.map((m, i) => ((u[i] ?? 0) - m) / (std[i] ?? 1));
}

/**
 * The linear reward to begin with, weights [K * d] for a sample of the pairs: logistic regression on the experts' scores or on
 * their embeddings, whichever has the smaller loss on validation.
 */
function linearStart(
  train: readonly EmbeddedPair[],
  valid: readonly EmbeddedPair[],
  experts: readonly ValueHead[],
): (sample: readonly EmbeddedPair[]) => Float64Array {
  const toScores = ({ chosen, rejected }: EmbeddedPair): EmbeddedPair => ({
    chosen: scoresOf(experts, chosen),
    rejected: scoresOf(experts, rejected),
  });
  const best = (own: readonly EmbeddedPair[], judged: readonly EmbeddedPair[]) =>
    chooseHead(
      (ridge) => fitPairHead(own, ridge),
      (head) =>
        judged.reduce(
          (sum, { chosen, rejected }) => sum + softplus(headScore(head, rejected) - headScore(head, chosen)),
          0,
        ),
    );
  const scores = best(train.map(toScores), valid.map(toScores));
  const embeddings = best(train, valid);
  if (embeddings.loss < scores.loss)
    return (sample) => Float64Array.from(fitPairHead(sample, embeddings.ridge).weight);
  return (sample) => {
    const { weight } = fitPairHead(sample.map(toScores), scores.ridge);
    return Float64Array.from(experts.flatMap((head, k) => [...head.weight].map((w) => w * (weight[k] ?? 0))));
  };
}

/** [K] */
function scoresOf(experts: readonly ValueHead[], u: Float32Array): Float32Array {
  const d = u.length / experts.length;
  return Float32Array.from(experts, (head, k) => headScore(head, u.subarray(k * d, (k + 1) * d)));
}

const SLOPE = 0.25;

/** @param start [inputs]: the linear reward to begin with. */
function trainHead(
  train: readonly ScaledPair[],
  valid: readonly ScaledPair[],
  start: Float64Array,
  random: () => number,
  options: AggregatorOptions,
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

function meanLoss(mlp: Mlp, pairs: readonly ScaledPair[]): number {
  const reward = (u: Float64Array): number => output(mlp, preactivation(mlp, u));
  return (
    pairs.reduce((sum, [chosen, rejected]) => sum + softplus(-(reward(chosen) - reward(rejected))), 0) /
    pairs.length
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

/** AdamW (arXiv 1711.05101), betas 0.9 and 0.95. */
class AdamW {
  private readonly m: Float64Array;
  private readonly v: Float64Array;
  private t = 0;

  constructor(
    private readonly x: Float64Array,
    private readonly options: { readonly learningRate: number; readonly weightDecay: number },
  ) {
    this.m = new Float64Array(x.length);
    this.v = new Float64Array(x.length);
  }

  step(gradient: Float64Array): void {
    const { learningRate, weightDecay } = this.options;
    this.t++;
    const c1 = 1 - 0.9 ** this.t;
    const c2 = 1 - 0.95 ** this.t;
    for (let i = 0; i < this.x.length; i++) {
      const g = gradient[i] ?? 0;
      const m = (this.m[i] = 0.9 * (this.m[i] ?? 0) + 0.1 * g);
      const v = (this.v[i] = 0.95 * (this.v[i] ?? 0) + 0.05 * g * g);
      const x = this.x[i] ?? 0;
      this.x[i] = x - learningRate * (m / c1 / (Math.sqrt(v / c2) + 1e-8) + weightDecay * x);
    }
  }
}

/** The heads' mean on one candidate's embeddings [K * d]. */
export function aggregate({ mean, std, heads }: Aggregator, u: Float32Array): number {
  const scaled = scale(u, mean, std);
  return heads.reduce((sum, head) => sum + output(head, preactivation(head, scaled)), 0) / heads.length;
}

/** ONNX: embeddings [N, K*d] -> rewards [N, H]; the standardisation is folded into the first layer. */
export function encodeAggregator({ mean, std, heads, hidden }: Aggregator): Uint8Array {
  const inputs = mean.length;
  const width = hidden * heads.length;
  const w1 = new Float32Array(inputs * width);
  const b1 = new Float32Array(width);
  const slope = new Float32Array(width);
  const w2 = new Float32Array(width * heads.length);
  heads.forEach((head, m) => {
    for (let h = 0; h < hidden; h++) {
      const column = m * hidden + h;
      let bias = head.b1[h] ?? 0;
      for (let i = 0; i < inputs; i++) {
        const weight = (head.w1[h * inputs + i] ?? 0) / (std[i] ?? 1);
        w1[i * width + column] = weight;
        bias -= weight * (mean[i] ?? 0);
      }
      b1[column] = bias;
      slope[column] = head.slope;
      w2[column * heads.length + m] = head.w2[h] ?? 0;
    }
  });
  const float = (data: Float32Array<ArrayBuffer>, ...shape: number[]) => ({
    type: 'float32' as const,
    shape,
    data,
  });
  return encodeOnnx({
    inputs: [{ name: 'embeddings', type: 'float32', shape: ['N', inputs] }],
    outputs: [{ name: 'rewards', type: 'float32', shape: ['N', heads.length] }],
    constants: {
      w1: float(w1, inputs, width),
      b1: float(b1, width),
      slope: float(slope, width),
      w2: float(w2, width, heads.length),
    },
    nodes: [
      { operator: 'Gemm', inputs: ['embeddings', 'w1', 'b1'], outputs: ['hidden'] },
      { operator: 'PRelu', inputs: ['hidden', 'slope'], outputs: ['active'] },
      { operator: 'MatMul', inputs: ['active', 'w2'], outputs: ['rewards'] },
    ],
  });
}

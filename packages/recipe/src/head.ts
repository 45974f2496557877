import { softplus } from '@dmoerm/evaluation';
import { minimise } from './lbfgs';

/** A value head: score = weight . z + bias. */
export interface ValueHead {
  readonly weight: Float32Array;
  readonly bias: number;
}

/** Two embeddings, the first one preferred. */
export interface EmbeddedPair {
  readonly chosen: Float32Array;
  readonly rejected: Float32Array;
}

/** Strengths of the penalty that validation chooses from. */
export const RIDGES: readonly number[] = [30, 100, 300, 1000, 3000, 10_000];

/** Mean and standard deviation per coordinate. */
export function standardiser(rows: readonly Float32Array[]): { mean: Float64Array; std: Float64Array } {
  const d = rows[0]?.length ?? 0;
  const mean = new Float64Array(d);
  const std = new Float64Array(d);
  for (const row of rows) for (let i = 0; i < d; i++) mean[i] = (mean[i] ?? 0) + (row[i] ?? 0) / rows.length;
  for (const row of rows)
    for (let i = 0; i < d; i++) std[i] = (std[i] ?? 0) + ((row[i] ?? 0) - (mean[i] ?? 0)) ** 2 / rows.length;
  return { mean, std: std.map((variance) => Math.sqrt(variance) + 1e-6) };
}

/**
 * L2-regularised logistic regression on standardised differences: P(chosen better) = sigmoid(score(chosen) - score(rejected)).
 * The standardisation is folded into the head.
 */
export function fitPairHead(pairs: readonly EmbeddedPair[], ridge: number): ValueHead {
  const { std } = standardiser(pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]));
  const rows = pairs.map(({ chosen, rejected }) =>
    std.map((s, i) => ((chosen[i] ?? 0) - (rejected[i] ?? 0)) / s),
  );
  const weight = minimise(
    (w, gradient) => logistic(rows, w, gradient, ridge),
    new Float64Array(std.length),
    STOP,
  );
  return { weight: Float32Array.from(weight, (w, i) => w / (std[i] ?? 1)), bias: 0 };
}

const STOP = { maxIterations: 200, tolerance: 1e-3 };

/** Sum of softplus(-w . row), plus ridge/2 |w|^2. */
function logistic(
  rows: readonly Float64Array[],
  w: Float64Array,
  gradient: Float64Array,
  ridge: number,
): number {
  let loss = 0;
  for (let i = 0; i < w.length; i++) {
    gradient[i] = ridge * (w[i] ?? 0);
    loss += (ridge / 2) * (w[i] ?? 0) ** 2;
  }
  for (const row of rows) {
    let margin = 0;
    for (let i = 0; i < w.length; i++) margin += (row[i] ?? 0) * (w[i] ?? 0);
    loss += softplus(-margin);
    const error = 1 / (1 + Math.exp(-margin)) - 1;
    for (let i = 0; i < w.length; i++) gradient[i] = (gradient[i] ?? 0) + error * (row[i] ?? 0);
  }
  return loss;
}

/** A head's score of an embedding. */
export function headScore({ weight, bias }: ValueHead, embedding: Float32Array): number {
  let sum = bias;
  for (let i = 0; i < weight.length; i++) sum += (weight[i] ?? 0) * (embedding[i] ?? 0);
  return sum;
}

/** Tries every strength and keeps the head with the smallest validation loss. */
export function chooseHead(
  fit: (ridge: number) => ValueHead,
  validationLoss: (head: ValueHead) => number,
): { head: ValueHead; ridge: number; loss: number } {
  const tried = RIDGES.map((ridge) => {
    const head = fit(ridge);
    return { head, ridge, loss: validationLoss(head) };
  });
  return tried.reduce((best, one) => (one.loss < best.loss ? one : best));
}

/** 1 where a margin favours the preferred response, 1/2 for an exact tie, else 0. */
export function won(margin: number): number {
  return margin > 0 ? 1 : margin === 0 ? 0.5 : 0;
}

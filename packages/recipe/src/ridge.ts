import { multiply, multiplyTransposed, type SparseRows } from './sparse-rows';

/** A linear model: scores are x W + bias. */
export interface LinearScores {
  /** [columns, L] */
  readonly weights: Float64Array;
  /** [L] */
  readonly bias: Float64Array;
}

/** What to fit. */
export interface RidgeProblem {
  readonly rows: SparseRows;
  readonly columns: number;
  /** [rows, L] */
  readonly targets: Float64Array;
  /** Number of targets per row. */
  readonly L: number;
  /** [rows] */
  readonly rowWeights: Float64Array;
  readonly ridge: number;
}

const TOLERANCE = 1e-4;
const MAX_ITERATIONS = 400;

/**
 * Weighted ridge regression with a bias, all L targets at once: minimises sum_i w_i |x_i W + b - t_i|^2 + ridge (|W|^2 + |b|^2) in
 * its dual, (X X' + 1 1' + ridge diag(1 / w)) a = T, W = X' a, b = sum a, by conjugate gradients with the diagonal as
 * preconditioner (Saad, Iterative Methods for Sparse Linear Systems, algorithm 9.1). Rows of `X` have length about 1. Deterministic.
 */
export function fitRidge({ rows, columns, targets, L, rowWeights, ridge }: RidgeProblem): LinearScores {
  const n = rowWeights.length;
  const diagonal = rowWeights.map((weight) => ridge / weight);
  const apply = (v: Float64Array): Float64Array => {
    const out = multiply(rows, multiplyTransposed(rows, v, L, columns), L);
    const sums = columnSums(v, L);
    for (let i = 0; i < n; i++)
      for (let c = 0; c < L; c++) {
        const at = i * L + c;
        out[at] = (out[at] ?? 0) + (sums[c] ?? 0) + (diagonal[i] ?? 0) * (v[at] ?? 0);
      }
    return out;
  };
  // Of X X' + 1 1' the diagonal is 2.
  const precondition = (v: Float64Array): Float64Array =>
    v.map((value, at) => value / (2 + (diagonal[Math.floor(at / L)] ?? 0)));

  const solution = new Float64Array(n * L);
  const residual = Float64Array.from(targets);
  let direction = precondition(residual);
  let rz = columnDots(residual, direction, L);
  const stop = columnDots(targets, targets, L).map((square) => TOLERANCE ** 2 * square);
  for (let iteration = 0; iteration < MAX_ITERATIONS; iteration++) {
    if (columnDots(residual, residual, L).every((square, c) => square <= (stop[c] ?? 0))) break;
    const applied = apply(direction);
    const curvature = columnDots(direction, applied, L);
    const step = rz.map((value, c) => ((curvature[c] ?? 0) > 0 ? value / (curvature[c] ?? 1) : 0));
    for (let at = 0; at < solution.length; at++) {
      const size = step[at % L] ?? 0;
      solution[at] = (solution[at] ?? 0) + size * (direction[at] ?? 0);
      residual[at] = (residual[at] ?? 0) - size * (applied[at] ?? 0);
    }
    const z = precondition(residual);
    const next = columnDots(residual, z, L);
    const old = direction;
    direction = z.map((value, at) => {
      const before = rz[at % L] ?? 0;
      return value + (before > 0 ? (next[at % L] ?? 0) / before : 0) * (old[at] ?? 0);
    });
    rz = next;
  }
  return { weights: multiplyTransposed(rows, solution, L, columns), bias: columnSums(solution, L) };
}

function columnSums(v: Float64Array, L: number): Float64Array {
  const sums = new Float64Array(L);
  for (let at = 0; at < v.length; at++) sums[at % L] = (sums[at % L] ?? 0) + (v[at] ?? 0);
  return sums;
}

function columnDots(a: Float64Array, b: Float64Array, L: number): Float64Array {
  const sums = new Float64Array(L);
  for (let at = 0; at < a.length; at++) sums[at % L] = (sums[at % L] ?? 0) + (a[at] ?? 0) * (b[at] ?? 0);
  return sums;
}

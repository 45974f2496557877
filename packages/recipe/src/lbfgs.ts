/** A function to minimise: fills `gradient` and returns the value at `x`. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number;

/** When to stop. */
export interface LbfgsOptions {
  readonly maxIterations: number;
  /** Stop once the largest gradient component is below this. */
  readonly tolerance: number;
}

const MEMORY = 8;

/**
 * Limited-memory BFGS with backtracking line search (Nocedal and Wright, Numerical Optimization, algorithm 7.5) for smooth convex
 * objectives. Deterministic.
 */
export function minimise(objective: Objective, start: Float64Array, options: LbfgsOptions): Float64Array {
  let x = Float64Array.from(start);
  let gradient = new Float64Array(x.length);
  let value = objective(x, gradient);
  const history: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  for (let iteration = 0; iteration < options.maxIterations; iteration++) {
    if (gradient.every((g) => Math.abs(g) < options.tolerance)) break;
    const direction = twoLoop(gradient, history);
    const slope = dot(direction, gradient);
    let step = history.length === 0 ? 1 / Math.sqrt(dot(gradient, gradient)) : 1;
    const next = new Float64Array(x.length);
    const nextGradient = new Float64Array(x.length);
    let nextValue = Infinity;
    for (let tries = 0; tries < 30; tries++, step /= 2) {
      for (let i = 0; i < x.length; i++) next[i] = (x[i] ?? 0) + step * (direction[i] ?? 0);
      nextValue = objective(next, nextGradient);
      if (nextValue <= value + 1e-4 * step * slope) break;
    }
    if (!(nextValue < value)) break;
    const s = next.map((v, i) => v - (x[i] ?? 0));
    const y = nextGradient.map((v, i) => v - (gradient[i] ?? 0));
    const curvature = dot(s, y);
    if (curvature > 1e-12) history.push({ s, y, rho: 1 / curvature });
    if (history.length > MEMORY) history.shift();
    [x, gradient, value] = [next, nextGradient, nextValue];
  }
  return x;
}

function twoLoop(
  gradient: Float64Array,
  history: readonly { s: Float64Array; y: Float64Array; rho: number }[],
): Float64Array {
  const q = gradient.map((g) => -g);
  const alphas: number[] = [];
  for (const { s, y, rho } of [...history].reverse()) {
    const alpha = rho * dot(s, q);
    alphas.push(alpha);
    for (let i = 0; i < q.length; i++) q[i] = (q[i] ?? 0) - alpha * (y[i] ?? 0);
  }
  const last = history.at(-1);
  if (last !== undefined) {
    const scale = 1 / (last.rho * dot(last.y, last.y));
    for (let i = 0; i < q.length; i++) q[i] = (q[i] ?? 0) * scale;
  }
  for (const { s, y, rho } of history) {
    const beta = rho * dot(y, q);
    const alpha = alphas.pop() ?? 0;
    for (let i = 0; i < q.length; i++) q[i] = (q[i] ?? 0) + (alpha - beta) * (s[i] ?? 0);
  }
  return q;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

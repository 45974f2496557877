const SMALLEST = 0.01;
const LARGEST = 100;

/** log(1 + e^x) without overflow: the loss of a pair is softplus(-margin). */
export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/**
 * The temperature t for which sigmoid(margin / t) fits pairs best (smallest negative log-likelihood), margins being preferred minus
 * other reward; between 0.01 and 100. The likelihood has one peak in 1/t, so a golden-section search finds it.
 */
export function fitTemperature(margins: readonly number[]): number {
  const loss = (inverse: number): number =>
    margins.reduce((sum, margin) => sum + softplus(-margin * inverse), 0);
  const golden = (Math.sqrt(5) - 1) / 2;
  let low = 1 / LARGEST;
  let high = 1 / SMALLEST;
  while (high - low > 1e-6) {
    const [a, b] = [high - golden * (high - low), low + golden * (high - low)];
    if (loss(a) < loss(b)) high = b;
    else low = a;
  }
  return 2 / (low + high);
}

/**
 * The unbiased estimator of best-of-n (arXiv 2210.10760, section 2): the mean of `gold` of the response with the largest proxy score among
 * n of N, over all subsets of size n. Ties of the proxy are broken by `tie`, an order of the samples that has nothing to do with them.
 * @param proxy [N]
 * @param gold [N], of the same samples in the same order
 * @param tie [N], distinct
 * @param sizes n, each in [1, N]
 * @returns one value per size
 */
export function bestOfN(
  proxy: ArrayLike<number>,
  gold: ArrayLike<number>,
  tie: ArrayLike<number>,
  sizes: readonly number[],
): number[] {
  const count = proxy.length;
  if (gold.length !== count || tie.length !== count)
    throw new RangeError('one gold value and tie per sample');
  const order = Array.from({ length: count }, (_, i) => i).sort(
    (a, b) => at(proxy, a) - at(proxy, b) || at(tie, a) - at(tie, b),
  );
  return sizes.map((n) => {
    if (!Number.isInteger(n) || n < 1 || n > count) throw new RangeError(`best of ${n} of ${count}`);
    let sum = 0;
    // The i-th smallest (from 1) is the best of C(i-1, n-1) of the C(N, n) subsets.
    for (let i = n; i <= count; i++)
      sum += Math.exp(lnChoose(i - 1, n - 1) - lnChoose(count, n)) * at(gold, order[i - 1] as number);
    return sum;
  });
}

/** KL divergence of best-of-n from the policy, nats: an upper bound (arXiv 2401.01879), and the axis of the field. */
export function bestOfNKl(n: number): number {
  return Math.log(n) - (n - 1) / n;
}

const lnFactorials: number[] = [0];

function lnFactorial(n: number): number {
  for (let i = lnFactorials.length; i <= n; i++)
    lnFactorials.push((lnFactorials[i - 1] as number) + Math.log(i));
  return lnFactorials[n] as number;
}

function lnChoose(n: number, k: number): number {
  return lnFactorial(n) - lnFactorial(k) - lnFactorial(n - k);
}

function at(values: ArrayLike<number>, i: number): number {
  return values[i] as number;
}

/** log of the number of ways to choose k of n, by log-factorials. */
function logChoose(n: number, k: number, logFactorial: Float64Array): number {
  return (logFactorial[n] as number) - (logFactorial[k] as number) - (logFactorial[n - k] as number);
}

/**
 * Expected quality of the response with the largest reward among k drawn without replacement from N, over all subsets:
 * sum over i >= k of C(i - 1, k - 1) / C(N, k) q_(i), q sorted by reward upwards. Equal rewards share their mean quality, as a tie is
 * broken at random (recipe, section 6; tlc4418/llm_optimization).
 */
export function bestOfK(rewards: readonly number[], quality: readonly number[], k: number): number {
  const n = rewards.length;
  const logFactorial = new Float64Array(n + 1);
  for (let i = 2; i <= n; i++) logFactorial[i] = (logFactorial[i - 1] as number) + Math.log(i);
  const order = rewards.map((_, i) => i).sort((a, b) => (rewards[a] ?? 0) - (rewards[b] ?? 0));
  const sorted = order.map((i) => quality[i] ?? NaN);
  for (let start = 0; start < n;) {
    let end = start;
    while (end < n && rewards[order[end] ?? 0] === rewards[order[start] ?? 0]) end++;
    const mean = sorted.slice(start, end).reduce((a, b) => a + b, 0) / (end - start);
    sorted.fill(mean, start, end);
    start = end;
  }
  let sum = 0;
  for (let i = k; i <= n; i++)
    sum +=
      Math.exp(logChoose(i - 1, k - 1, logFactorial) - logChoose(n, k, logFactorial)) *
      (sorted[i - 1] as number);
  return sum;
}

/** What GRPO weighs a response's tokens with. */
export interface GrpoTokens {
  /** ln p of each token under the policy, and under the policy that it began as. */
  readonly policy: ArrayLike<number>;
  readonly reference: ArrayLike<number>;
}

/** Rewards less their group's mean, in its standard deviations (arXiv 2402.03300, section 4.1.2); 0 where all are equal. */
export function advantages(rewards: readonly number[]): number[] {
  const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length;
  const std = Math.sqrt(rewards.reduce((sum, one) => sum + (one - mean) ** 2, 0) / rewards.length);
  return rewards.map((one) => (std < 1e-9 ? 0 : (one - mean) / std));
}

/**
 * Weights of the tokens' negative log-likelihoods whose gradient is that of GRPO's loss at the policy that drew them (one step per draw: all
 * ratios are 1): (1 / |o|) sum_t (-A ratio_t + beta k3_t), k3 = e^-l - 1 + l, l = ln policy - ln reference.
 * @param share of the response in the batch, e.g. 1 / number of responses
 */
export function tokenWeights(
  advantage: number,
  { policy, reference }: GrpoTokens,
  beta: number,
  share: number,
): Float32Array {
  const scale = share / policy.length;
  return Float32Array.from(
    policy,
    (own, t) => scale * (advantage - beta * (1 - Math.exp((reference[t] ?? NaN) - own))),
  );
}

/** ln policy - ln reference of a whole response: its mean over the policy's draws is the KL divergence, nats (k1). */
export function logRatio({ policy, reference }: GrpoTokens): number {
  let sum = 0;
  for (let t = 0; t < policy.length; t++) sum += (policy[t] ?? NaN) - (reference[t] ?? NaN);
  return sum;
}

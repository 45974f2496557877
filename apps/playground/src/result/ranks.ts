/** Places of rewards, 1 for the largest, equal ones sharing theirs; null where there is no reward. */
export function ranks(rewards: readonly (number | null)[]): readonly (number | null)[] {
  return rewards.map((one) =>
    one === null ? null : 1 + rewards.filter((other) => other !== null && other > one).length,
  );
}

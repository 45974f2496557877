import type { DmoermError } from '@dmoerm/core';
import type { CandidateOutput } from '@dmoerm/model';
import { aggregate, lesserReward, type TaskAggregator } from '@dmoerm/reward';
import type { Score } from './score-cache';

type Rewarded =
  { readonly type: 'score'; readonly score: Score } | { readonly type: 'error'; readonly error: DmoermError };

/** Rewards of what the experts of a task said, in order, as aggregator and router answer a request with default options. */
export async function toRewards(
  task: TaskAggregator,
  outputs: readonly CandidateOutput[],
): Promise<Rewarded[]> {
  const found = outputs.flatMap((one) => (one.type === 'outputs' ? [one] : []));
  const outcomes = task.head === null ? null : await aggregate(task, found, { type: 'learned' });
  let next = 0;
  return outputs.map((one): Rewarded => {
    if (one.type === 'error') return one;
    const outcome = outcomes?.[next++];
    if (outcome?.type === 'error') return outcome;
    const reward = outcome?.aggregate.reward ?? lesserReward(one.scores, task.scales).reward;
    const { tokenCount: tokens, truncated } = one;
    const scores = Array.from(one.scores);
    return { type: 'score', score: { reward, degraded: outcome === undefined, scores, tokens, truncated } };
  });
}

import type { rewardV1 } from '@dmoerm/protos';
import { metrics } from '@dmoerm/telemetry';

/**
 * Counts which of two candidates of one prompt has the larger reward, the longer or the shorter one. Neighbours only: candidates of a
 * policy come in no order, so these are pairs at random, and as many as candidates rather than their square. A policy that learns to
 * be long rather than good shows here (length bias; arXiv 2310.03716).
 */
export function observeLengths(task: string, results: readonly rewardV1.CandidateResult[]): void {
  const scores = results.flatMap(({ outcome }) => (outcome?.$case === 'score' ? [outcome.value] : []));
  for (let i = 1; i < scores.length; i += 2) {
    const [a, b] = [scores[i - 1], scores[i]];
    if (a === undefined || b === undefined) continue;
    const agreement = Math.sign(a.tokenCount - b.tokenCount) * Math.sign(a.reward - b.reward);
    if (agreement !== 0) metrics.lengthPairs.inc({ task, preferred: agreement > 0 ? 'longer' : 'shorter' });
  }
}

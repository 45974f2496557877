import { DmoermError } from '@dmoerm/core';
import type { rewardV1 } from '@dmoerm/protos';
import type { commonV1 } from '@dmoerm/protos';
import { toStatus } from '@dmoerm/rpc';
import { metrics } from '@dmoerm/telemetry';
import type { CandidateScore, Leg, LegOutcome } from './fanout';
import type { Decision } from '@dmoerm/reward';
import type { Item } from './item';
import { observeLengths } from './length-pairs';
import type { TaskModel } from './router-model';

/** What an item's answer is made of. */
export interface Answered {
  readonly item: Item;
  readonly decision: Decision;
  /** Most probable task first; never empty. */
  readonly shares: readonly Share[];
  /** Puts the item's place in the request before the field of an error. */
  readonly locate: (error: DmoermError) => DmoermError;
  readonly totalNs: bigint;
}

/** A leg that came back, with its share of the reward. */
export interface Share {
  readonly weight: number;
  readonly leg: Leg;
  readonly outcome: Extract<LegOutcome, { type: 'scored' }>;
  /** The experts of another task that has a share could not be reached. */
  readonly alone: boolean;
}

type Scored = Extract<CandidateScore, { type: 'score' }>;

/**
 * The answer to an item from the shares of its tasks, the most probable first. Soft routing: the reward and spreads are
 * weighted by the shares; capabilities are those of the first task.
 */
export function toResponse({ item, decision, shares, locate, totalNs }: Answered): rewardV1.ScoreResponse {
  const [first] = shares;
  if (first === undefined)
    throw new DmoermError({ code: 'INTERNAL', reason: 'NO_SHARES', message: 'no task answered' });
  const { task, revision } = first.leg;
  const route = toRoute(decision, task.name);
  const results = first.outcome.candidates.map((_, c): rewardV1.CandidateResult => {
    const own = shares.map(({ outcome, weight, alone }) => ({
      weight,
      alone,
      candidate: outcome.candidates[c],
    }));
    const scored: Weighted[] = [];
    for (const { candidate, ...share } of own) {
      if (candidate?.type === 'score') scored.push({ ...share, ...candidate });
      else if (candidate !== undefined) return refuse(task, locate(candidate.error));
    }
    return { outcome: { $case: 'score', value: toScore(item, task, scored, route) } };
  });
  observeLengths(task.name, results);
  return { results, revision, digests: first.outcome.digests, timings: toTimings(shares, totalNs) };
}

/** A decision as the API tells it; `task` is the one that scores, or would. */
export function toRoute({ distribution, fallback }: Decision, task: string): commonV1.Route {
  const probability = distribution.find((one) => one.task === task)?.probability ?? 0;
  return { task, probability, distribution: [...distribution], fallback };
}

type Weighted = Scored & Pick<Share, 'weight' | 'alone'>;

function toScore(
  item: Item,
  task: TaskModel,
  scored: readonly Weighted[],
  route: commonV1.Route,
): rewardV1.Score {
  const blend = (value: (one: Weighted) => number): number =>
    scored.reduce((sum, one) => sum + one.weight * value(one), 0);
  const [first] = scored;
  const all = task.capabilities.map((name, k) => ({
    name,
    score: first?.outputs.scores[k] ?? NaN,
    contribution: (first?.weight ?? NaN) * (first?.reward.contributions[k] ?? NaN),
  }));
  const lesserRule = scored.some(({ reward }) => reward.degraded);
  const expertMissing = scored.some(({ alone }) => alone);
  metrics.candidates.inc({ task: task.name });
  const experts = blend(({ reward }) => reward.expertSpread);
  metrics.expertSpread.observe({ task: task.name }, experts);
  if (lesserRule) metrics.degraded.inc({ task: task.name, stage: 'aggregator' });
  if (expertMissing) metrics.degraded.inc({ task: task.name, stage: 'expert' });
  return {
    reward: blend(({ reward }) => reward.reward),
    capabilities:
      item.capabilities.length === 0
        ? all
        : item.capabilities.flatMap((n) => all.filter(({ name }) => name === n)),
    uncertainty: { experts, heads: blend(({ reward }) => reward.headSpread) },
    route,
    tokenCount: first?.outputs.tokenCount ?? 0,
    truncated: scored.some(({ outputs }) => outputs.truncated),
    degraded: lesserRule || expertMissing,
  };
}

function refuse(task: TaskModel, error: DmoermError): rewardV1.CandidateResult {
  metrics.candidateErrors.inc({ task: task.name, reason: error.reason });
  return { outcome: { $case: 'error', value: toStatus(error) } };
}

function toTimings(shares: readonly Share[], totalNs: bigint): rewardV1.Timings {
  const longest = (values: readonly bigint[]): bigint => values.reduce((a, b) => (a > b ? a : b), 0n);
  return {
    queueNs: longest(shares.map(({ outcome }) => outcome.queueNs)),
    engineNs: shares.reduce((sum, { outcome }) => sum + outcome.engineNs, 0n),
    aggregateNs: longest(shares.map(({ outcome }) => outcome.aggregateNs)),
    totalNs,
  };
}

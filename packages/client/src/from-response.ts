import { DmoermError } from '@dmoerm/core';
import type { commonV1, rewardV1 } from '@dmoerm/protos';
import { fromStatus } from '@dmoerm/rpc';
import type { CandidateResult, ItemResult, ModelInfo, Route, ScoredItem } from './types';

/** An item's outcome. @throws DmoermError INTERNAL, reason `BAD_ANSWER`, if the server sent none. */
export function fromItemResult({ outcome }: rewardV1.ItemResult): ItemResult {
  switch (outcome?.$case) {
    case 'response':
      return { type: 'scored', ...fromResponse(outcome.value) };
    case 'error':
      return { type: 'error', error: fromStatus(outcome.value) };
    default:
      throw badAnswer('an item without an outcome');
  }
}

/** The scores of an item. @throws DmoermError INTERNAL, reason `BAD_ANSWER`. */
export function fromResponse({ results, revision, timings }: rewardV1.ScoreResponse): ScoredItem {
  const scored = results.find(({ outcome }) => outcome?.$case === 'score')?.outcome;
  const route = scored?.$case === 'score' ? scored.value.route : undefined;
  const { queueNs = 0n, engineNs = 0n, aggregateNs = 0n, totalNs = 0n } = timings ?? {};
  return {
    candidates: results.map(fromCandidate),
    route: route === undefined ? null : fromRoute(route),
    revision,
    timingsNs: {
      queue: Number(queueNs),
      engine: Number(engineNs),
      aggregate: Number(aggregateNs),
      total: Number(totalNs),
    },
  };
}

/** A route. */
export function fromRoute({ task, probability, distribution, fallback }: commonV1.Route): Route {
  return { task, probability, distribution, fallback };
}

/** A model's description. */
export function fromModel({ name, revision, base, tasks, limits }: rewardV1.GetModelResponse): ModelInfo {
  if (limits === undefined) throw badAnswer('a model without limits');
  return { name, revision, base, tasks, limits };
}

/** The error of a server that does not keep to the API. */
export function badAnswer(what: string): DmoermError {
  return new DmoermError({
    code: 'INTERNAL',
    reason: 'BAD_ANSWER',
    message: `the server answered with ${what}`,
  });
}

function fromCandidate({ outcome }: rewardV1.CandidateResult): CandidateResult {
  if (outcome === undefined) throw badAnswer('a candidate without an outcome');
  if (outcome.$case === 'error') return { type: 'error', error: fromStatus(outcome.value) };
  const { reward, capabilities, uncertainty, tokenCount, truncated, degraded } = outcome.value;
  if (uncertainty === undefined || !Number.isFinite(reward)) throw badAnswer('a score that is not complete');
  return { type: 'score', reward, capabilities, uncertainty, tokenCount, truncated, degraded };
}

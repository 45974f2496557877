import type { DmoermError } from '@dmoerm/core';
import type { CandidateResult, ItemResult } from './types';

/** The output record of an item, as other people's scripts read it: plain JSON, names in snake case. */
export function toRecord(id: string | null, result: ItemResult): Record<string, unknown> {
  if (result.type === 'error') return { id, error: toErrorRecord(result.error) };
  const { revision, route, candidates, timingsNs } = result;
  return {
    id,
    revision,
    route: route && {
      task: route.task,
      probability: route.probability,
      distribution: Object.fromEntries(
        route.distribution.map(({ task, probability }) => [task, probability]),
      ),
      fallback: route.fallback,
    },
    candidates: candidates.map(toCandidate),
    timings_ns: timingsNs,
  };
}

/** An error in such a record. */
export function toErrorRecord({ code, reason, field, message }: DmoermError): Record<string, unknown> {
  return { code, reason, field, message };
}

function toCandidate(result: CandidateResult): Record<string, unknown> {
  if (result.type === 'error') return { error: toErrorRecord(result.error) };
  const { reward, capabilities, uncertainty, tokenCount, truncated, degraded } = result;
  return { reward, capabilities, uncertainty, token_count: tokenCount, truncated, degraded };
}

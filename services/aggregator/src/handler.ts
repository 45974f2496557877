import { invalidArgument } from '@dmoerm/core';
import { aggregatorV1 } from '@dmoerm/protos';
import { bindService, toStatus } from '@dmoerm/rpc';
import type { ServiceBinding } from '@dmoerm/rpc';
import { fromTensor, toRows } from '@dmoerm/serving';
import type { Revisions } from '@dmoerm/serving';
import { metrics } from '@dmoerm/telemetry';
import { aggregate } from '@dmoerm/reward';
import type { Aggregators, ExpertOutputs, Outcome, Rule, TaskAggregator } from '@dmoerm/reward';

/** `dmoerm.aggregator.v1.AggregatorService`: messages to domain and back; for the other services only. */
export function bindAggregatorService(revisions: Revisions<Aggregators>): ServiceBinding {
  return bindService(
    aggregatorV1.AggregatorServiceService,
    {
      aggregate: async (request) => {
        using lease = revisions.pin(request.revision);
        const task = lease.value.task(request.task);
        const outcomes = await aggregate(task, toCandidates(request, task), toRule(request));
        for (const outcome of outcomes) observe(request.task, task, outcome);
        return { results: outcomes.map(toResult) };
      },
    },
    ['service'],
  );
}

function toCandidates(request: aggregatorV1.AggregateRequest, task: TaskAggregator): ExpertOutputs[] {
  const n = Number(request.scores?.shape[0] ?? 0);
  const k = task.capabilities.length;
  const embeddings = toRows(
    fromTensor(request.embeddings, [n, k, task.hiddenSize], 'embeddings'),
    k * task.hiddenSize,
  );
  const scores = toRows(fromTensor(request.scores, [n, k], 'scores'), k);
  return embeddings.map((own, i) => ({ embeddings: own, scores: scores[i] ?? new Float32Array() }));
}

function toRule({ rule, lambda }: aggregatorV1.AggregateRequest): Rule {
  const { UNSPECIFIED, LEARNED, MEAN, WORST_CASE, UNCERTAINTY_WEIGHTED } = aggregatorV1.AggregationRule;
  switch (rule) {
    case UNSPECIFIED:
    case LEARNED:
      return { type: 'learned' };
    case MEAN:
      return { type: 'mean' };
    case WORST_CASE:
      return { type: 'worst_case' };
    case UNCERTAINTY_WEIGHTED:
      if (!Number.isFinite(lambda) || lambda < 0)
        throw invalidArgument('lambda', 'BAD_LAMBDA', 'lambda must be a number of at least 0');
      return { type: 'uncertainty_weighted', lambda };
    default:
      throw invalidArgument('rule', 'UNKNOWN_ENUM_VALUE', 'unknown rule; see AggregationRule');
  }
}

function toResult(outcome: Outcome): aggregatorV1.AggregateResult {
  if (outcome.type === 'error') return { outcome: { $case: 'error', value: toStatus(outcome.error) } };
  const { reward, contributions, expertSpread, headSpread } = outcome.aggregate;
  const value = { reward, contributions: [...contributions], expertSpread, headSpread };
  return { outcome: { $case: 'aggregate', value } };
}

function observe(name: string, task: TaskAggregator, outcome: Outcome): void {
  if (outcome.type === 'error') return metrics.nonfinite.inc({ task: name, stage: 'aggregator' });
  task.capabilities.forEach((capability, k) =>
    metrics.capabilityScore.observe({ task: name, capability }, outcome.standardised[k] ?? NaN),
  );
}

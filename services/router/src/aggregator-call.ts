import { DmoermError, groupBy } from '@dmoerm/core';
import { aggregatorV1, commonV1 } from '@dmoerm/protos';
import type { CallContext } from '@dmoerm/rpc';
import { fromStatus } from '@dmoerm/rpc';
import { metrics } from '@dmoerm/telemetry';
import { nonFinite } from './expert-call';
import type { ExpertOutputs } from './expert-call';
import { lesserReward } from '@dmoerm/reward';
import type { TaskModel } from './router-model';

/** Asks the aggregator service. @throws DmoermError */
export type Aggregate = (
  request: aggregatorV1.AggregateRequest,
  context: CallContext,
) => Promise<aggregatorV1.AggregateResponse>;

/** A candidate to aggregate. */
export interface ToAggregate {
  readonly outputs: ExpertOutputs;
  readonly rule: aggregatorV1.AggregationRule;
  readonly lambda: number;
}

/** A candidate's reward. */
export type Aggregated =
  | {
      readonly type: 'reward';
      readonly reward: number;
      /** [K] */
      readonly contributions: readonly number[];
      readonly expertSpread: number;
      readonly headSpread: number;
      /** True for the lesser rule: the aggregator was missing. */
      readonly degraded: boolean;
    }
  | { readonly type: 'error'; readonly error: DmoermError };

/** Where a reward is to come from. */
export interface AggregateOptions {
  readonly aggregate: Aggregate;
  readonly revision: string;
  readonly task: TaskModel;
  readonly context: CallContext;
}

/**
 * Rewards of the candidates, in their order. Where the bundle has no learned aggregator or none can be reached, the
 * rewards come from the lesser rule and say so.
 * @throws DmoermError CANCELLED or DEADLINE_EXCEEDED of the caller, and what the aggregator says of a wrong request.
 */
export async function aggregateAll(
  candidates: readonly ToAggregate[],
  options: AggregateOptions,
): Promise<Aggregated[]> {
  const results = new Map<ToAggregate, Aggregated>();
  const groups = groupBy(candidates, ({ rule, lambda }) => `${rule}/${lambda}`);
  await Promise.all(
    [...groups.values()].map(async (group) => {
      const aggregated = await aggregateGroup(group, options);
      group.forEach((candidate, i) => results.set(candidate, checked(aggregated[i], options.task)));
    }),
  );
  return candidates.map((candidate) => results.get(candidate) ?? badAnswer());
}

async function aggregateGroup(
  group: readonly ToAggregate[],
  options: AggregateOptions,
): Promise<Aggregated[]> {
  const { aggregate, revision, task, context } = options;
  const [{ rule, lambda } = { rule: aggregatorV1.AggregationRule.LEARNED, lambda: 0 }] = group;
  const n = group.length;
  const k = task.capabilities.length;
  const lesser = (): Aggregated[] => group.map(({ outputs }) => lesserResult(outputs, task));
  if (rule === aggregatorV1.AggregationRule.LEARNED && !task.learned) return lesser();
  const d = (group[0]?.outputs.embeddings.length ?? 0) / k / Float32Array.BYTES_PER_ELEMENT;
  const scores = group.map(({ outputs: { scores: own } }) =>
    Buffer.from(own.buffer, own.byteOffset, own.byteLength),
  );
  const request = {
    task: task.name,
    revision,
    rule,
    lambda,
    embeddings: tensor(
      group.map(({ outputs }) => outputs.embeddings),
      [n, k, d],
    ),
    scores: tensor(scores, [n, k]),
  };
  try {
    const { results } = await aggregate(request, context);
    if (results.length !== n) throw badAnswer().error;
    return results.map(({ outcome }) => {
      if (outcome === undefined) return badAnswer();
      if (outcome.$case === 'error') return { type: 'error', error: fromStatus(outcome.value) };
      return { type: 'reward', ...outcome.value, degraded: false };
    });
  } catch (error) {
    if (context.signal.aborted || !unreachable(error)) throw error;
    return lesser();
  }
}

function lesserResult({ scores }: ExpertOutputs, task: TaskModel): Aggregated {
  return { type: 'reward', ...lesserReward(scores, task.scales), headSpread: 0, degraded: true };
}

/** Dead or frozen: there is nobody to ask. Anything else is an answer, and not ours to overrule. */
function unreachable(error: unknown): boolean {
  return error instanceof DmoermError && (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED');
}

function checked(aggregated: Aggregated | undefined, task: TaskModel): Aggregated {
  if (aggregated?.type !== 'reward') return aggregated ?? badAnswer();
  const { reward, contributions, expertSpread, headSpread } = aggregated;
  if (contributions.length !== task.capabilities.length) return badAnswer();
  if ([reward, ...contributions, expertSpread, headSpread].every(Number.isFinite)) return aggregated;
  metrics.nonfinite.inc({ task: task.name, stage: 'router' });
  return { type: 'error', error: nonFinite('reward') };
}

function tensor(rows: readonly Buffer[], shape: readonly number[]): commonV1.Tensor {
  return { dataType: commonV1.DataType.FLOAT32, shape: shape.map(BigInt), data: Buffer.concat(rows) };
}

function badAnswer(): { readonly type: 'error'; readonly error: DmoermError } {
  const message = "the aggregator's answer does not fit the question";
  return {
    type: 'error',
    error: new DmoermError({ code: 'INTERNAL', reason: 'BAD_AGGREGATOR_ANSWER', message }),
  };
}

import { DmoermError, groupBy } from '@dmoerm/core';
import type { commonV1, expertV1 } from '@dmoerm/protos';
import type { CallContext } from '@dmoerm/rpc';
import { aggregateAll } from './aggregator-call';
import type { Aggregate, Aggregated } from './aggregator-call';
import { chunk } from './chunk';
import type { ChunkLimits, Sized } from './chunk';
import { readAnswer } from './expert-call';
import type { CandidateOutputs, ExpertOutputs } from './expert-call';
import type { Item } from './item';
import type { RouterModel, TaskModel } from './router-model';

/** Asks the expert service. @throws DmoermError */
export type Evaluate = (
  request: expertV1.EvaluateRequest,
  context: CallContext,
) => Promise<expertV1.EvaluateResponse>;

/** One item on its way to one task. */
export interface Leg extends Sized {
  readonly item: Item;
  readonly model: RouterModel;
  readonly revision: string;
  readonly task: TaskModel;
}

/** One task's view of a candidate. */
export type CandidateScore =
  | {
      readonly type: 'score';
      readonly outputs: ExpertOutputs;
      readonly reward: Extract<Aggregated, { type: 'reward' }>;
    }
  | { readonly type: 'error'; readonly error: DmoermError };

/** What came back of a leg. `failed`: the mesh could not answer, whatever the item. */
export type LegOutcome =
  | {
      readonly type: 'scored';
      readonly candidates: readonly CandidateScore[];
      readonly digests: commonV1.Digests | undefined;
      readonly queueNs: bigint;
      readonly engineNs: bigint;
      readonly aggregateNs: bigint;
    }
  | { readonly type: 'failed'; readonly error: DmoermError };

/** Where legs go. */
export interface Peers {
  readonly evaluate: Evaluate;
  readonly aggregate: Aggregate;
}

/**
 * Sends legs to the experts, those of one task together, and what comes back to the aggregator.
 * @throws DmoermError if the caller has gone or its deadline has passed; every other failure stays with its legs.
 */
export async function fanOut(
  legs: readonly Leg[],
  peers: Peers,
  limits: ChunkLimits,
  context: CallContext,
): Promise<Map<Leg, LegOutcome>> {
  const groups = groupBy(legs, ({ revision, task }) => `${revision}/${task.name}`);
  const chunks = [...groups.values()].flatMap((group) => chunk(group, limits));
  const outcomes = new Map<Leg, LegOutcome>();
  await Promise.all(
    chunks.map(async (own) => {
      const scored = await scoreChunk(own, peers, context).catch((cause: unknown) => {
        const error = DmoermError.from(cause);
        return own.map((): LegOutcome => ({ type: 'failed', error }));
      });
      own.forEach((leg, i) => outcomes.set(leg, scored[i] ?? lost()));
    }),
  );
  context.signal.throwIfAborted();
  return outcomes;
}

async function scoreChunk(legs: readonly Leg[], peers: Peers, context: CallContext): Promise<LegOutcome[]> {
  const [first] = legs;
  if (first === undefined) return [];
  const { model, revision, task } = first;
  const items = legs.map(({ item }) => ({
    prompt: item.request.prompt,
    candidates: item.request.candidates,
    truncation: item.truncation,
    priority: item.priority,
  }));
  const client = context.identity?.name ?? context.peer;
  const answer = await peers.evaluate({ task: task.name, revision, items, client }, context);
  const outputs = readAnswer(answer, items, model, task);
  const asked = legs.flatMap(({ item: { rule, lambda } }, i) =>
    (outputs[i] ?? []).flatMap((one) =>
      one.type === 'outputs' ? [{ outputs: one.outputs, rule, lambda }] : [],
    ),
  );
  const start = process.hrtime.bigint();
  const options = { aggregate: peers.aggregate, revision, task, context };
  const aggregated = asked.length === 0 ? [] : await aggregateAll(asked, options);
  const aggregateNs = process.hrtime.bigint() - start;
  const rewards = new Map(asked.map(({ outputs: own }, i) => [own, aggregated[i]]));
  const { digests, queueNs, engineNs } = answer;
  return legs.map((_, i) => ({
    type: 'scored',
    candidates: (outputs[i] ?? []).map((one, c) => join(one, c, rewards)),
    digests,
    queueNs,
    engineNs,
    aggregateNs,
  }));
}

function join(
  candidate: CandidateOutputs,
  index: number,
  rewards: ReadonlyMap<ExpertOutputs, Aggregated | undefined>,
): CandidateScore {
  if (candidate.type === 'error') return candidate;
  const { outputs } = candidate;
  const reward = rewards.get(outputs);
  if (reward?.type === 'reward') return { type: 'score', outputs, reward };
  return { type: 'error', error: reward === undefined ? lost().error : at(reward.error, index) };
}

/** The aggregator knows no candidates by number: the field is put right here. */
function at(error: DmoermError, index: number): DmoermError {
  const { code, reason, message, metadata } = error;
  return new DmoermError({ code, reason, message, metadata, field: `candidates[${index}]`, cause: error });
}

function lost(): { readonly type: 'failed'; readonly error: DmoermError } {
  const message = 'a candidate got no answer';
  return { type: 'failed', error: new DmoermError({ code: 'INTERNAL', reason: 'LOST_CANDIDATE', message }) };
}

import { DmoermError } from '@dmoerm/core';
import type { rewardV1 } from '@dmoerm/protos';
import type { CallContext } from '@dmoerm/rpc';
import type { Admission, Lease, Quotas, Revisions } from '@dmoerm/serving';
import { ATTRIBUTES, metrics, tracer } from '@dmoerm/telemetry';
import { trace } from '@opentelemetry/api';
import type { ChunkLimits } from './chunk';
import { recordEvaluations } from './evaluation-events';
import { fanOut } from './fanout';
import type { Leg, LegOutcome, Peers } from './fanout';
import { chooseTasks, forceTask } from '@dmoerm/reward';
import type { Decision } from '@dmoerm/reward';
import { parseItem } from './item';
import type { Item } from './item';
import { toResponse } from './response';
import type { Share } from './response';
import type { RouterModel } from './router-model';

/** An item's answer, or why it has none. */
export type ItemOutcome =
  | { readonly type: 'response'; readonly response: rewardV1.ScoreResponse }
  | { readonly type: 'error'; readonly error: DmoermError };

/** What a router works with. */
export interface RouterParts {
  readonly revisions: Revisions<RouterModel>;
  readonly admission: Admission;
  readonly quotas: Quotas;
  readonly peers: Peers;
  readonly chunkLimits: ChunkLimits;
  /** Most candidates of an item. */
  readonly maxCandidates: number;
  /** Whether spans say every capability score. */
  readonly evaluationEvents: boolean;
}

/** An item under way. */
interface Routed {
  readonly item: Item;
  readonly decision: Decision;
  readonly legs: readonly Leg[];
}

type Locate = (error: DmoermError) => DmoermError;

/** Scores items: it owns the deadline, the revision of a request and the policy on partial failure. */
export class Router {
  constructor(private readonly parts: RouterParts) {}

  /** Scores one item. @throws DmoermError */
  async scoreOne(request: rewardV1.ScoreRequest, context: CallContext): Promise<rewardV1.ScoreResponse> {
    const [outcome] = await this.scoreAll([request], context, () => (error) => error);
    if (outcome?.type !== 'response') throw outcome?.error ?? new Error('an item was lost');
    return outcome.response;
  }

  /**
   * Scores many items; each gets an answer or an error of its own, in the order of the items.
   * @param locate makes the errors of item `i` name it.
   * @throws DmoermError of a whole-call cause: RESOURCE_EXHAUSTED from admission, the caller gone, no bundle yet, or a
   *   mesh that could answer no item.
   */
  async scoreAll(
    requests: readonly rewardV1.ScoreRequest[],
    context: CallContext,
    locate: (i: number) => Locate = (i) => (error) => error.under(`items[${i}]`),
  ): Promise<ItemOutcome[]> {
    const start = process.hrtime.bigint();
    const bytes = requests.map(textBytes);
    using _permit = this.admit(
      requests.length,
      bytes.reduce((a, b) => a + b, 0),
      context.identity,
    );
    using leases = new Leases(this.parts.revisions);
    const items = requests.map((request) => attempt(() => parseItem(request, this.parts.maxCandidates)));
    const routed = await this.route(items, bytes, leases);
    const legs = routed.flatMap((one) => (one instanceof DmoermError ? [] : one.legs));
    const outcomes = await fanOut(legs, this.parts.peers, this.parts.chunkLimits, context);
    const totalNs = process.hrtime.bigint() - start;
    const failures: DmoermError[] = [];
    const answers = routed.map((one, i): ItemOutcome => {
      if (one instanceof DmoermError) return refuse(one, locate(i));
      const shares = toShares(one, outcomes);
      if (!(shares instanceof DmoermError))
        return { type: 'response', response: toResponse({ ...one, shares, locate: locate(i), totalNs }) };
      failures.push(shares);
      return refuse(shares, locate(i));
    });
    this.parts.quotas.charge(context.identity, tokensOf(answers));
    if (answers.some(isDegraded)) trace.getActiveSpan()?.setAttribute(ATTRIBUTES.degraded, true);
    if (this.parts.evaluationEvents) recordEvaluations(answers, context);
    const [failure] = failures;
    if (failure !== undefined && answers.every(({ type }) => type === 'error')) throw failure;
    return answers;
  }

  /** Classifies a conversation. @throws DmoermError */
  async classify(
    prompt: Item['prompt'],
  ): Promise<{ readonly decision: Decision; readonly revision: string }> {
    using lease = this.parts.revisions.pin();
    const { classifier, labels, fallback } = lease.value;
    const [probabilities = new Float32Array()] = await classifier.classify([prompt]);
    return {
      decision: chooseTasks(labels, probabilities, { type: 'top_1' }, fallback),
      revision: lease.revision,
    };
  }

  private admit(items: number, bytes: number, identity: CallContext['identity']): Disposable {
    const { admission, quotas } = this.parts;
    try {
      quotas.check(identity);
      const permit = admission.admit(items, bytes, identity?.name);
      quotas.take(identity, items);
      return permit;
    } catch (error) {
      metrics.shed.inc({ task: '', reason: DmoermError.from(error).reason }, items);
      throw error;
    }
  }

  private route(
    items: readonly (Item | DmoermError)[],
    bytes: readonly number[],
    leases: Leases,
  ): Promise<(Routed | DmoermError)[]> {
    return tracer.startActiveSpan('route', async (span) => {
      try {
        return await Promise.all(
          items.map(async (item, i) =>
            item instanceof DmoermError
              ? item
              : routeItem(item, bytes[i] ?? 0, leases).catch(DmoermError.from),
          ),
        );
      } finally {
        span.end();
      }
    });
  }
}

async function routeItem(item: Item, bytes: number, leases: Leases): Promise<Routed> {
  const { revision, value: model } = leases.pin(item.revision);
  trace.getActiveSpan()?.setAttribute(ATTRIBUTES.revision, revision);
  const decision = await decide(item, model);
  const legs = decision.assignments.map(({ task }) => ({
    item,
    model,
    revision,
    task: model.task(task),
    candidateCount: item.request.candidates.length,
    bytes,
  }));
  const known = legs[0]?.task.capabilities ?? [];
  if (item.capabilities.some((name) => !known.includes(name)))
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'UNKNOWN_CAPABILITY',
      field: 'options.capabilities',
      message: `the task that scores this item has the capabilities ${known.join(', ')} only`,
    });
  return { item, decision, legs };
}

async function decide(
  { routing, prompt }: Item,
  { labels, fallback, classifier }: RouterModel,
): Promise<Decision> {
  if (routing.type === 'forced') return forceTask(labels, routing.task);
  const [probabilities = new Float32Array()] = await classifier.classify([prompt]);
  return chooseTasks(labels, probabilities, routing, fallback);
}

/**
 * What came back of an item's legs. Where the experts of one task cannot be reached, the other task's reward stands alone
 * and is degraded; any other failure of a leg fails the item: a part of the weighted sum is no estimate of it.
 */
function toShares({ decision, legs }: Routed, outcomes: ReadonlyMap<Leg, LegOutcome>): Share[] | DmoermError {
  const shares: Share[] = [];
  let missing: DmoermError | null = null;
  for (const [i, leg] of legs.entries()) {
    const outcome = outcomes.get(leg);
    if (outcome?.type === 'scored') {
      shares.push({ weight: decision.assignments[i]?.weight ?? NaN, leg, outcome, alone: false });
      continue;
    }
    const error = outcome?.error ?? new DmoermError(LOST);
    if (error.code !== 'UNAVAILABLE') return error;
    missing = error;
  }
  if (missing === null) return shares;
  const total = shares.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 0) return missing;
  return shares.map((share) => ({ ...share, weight: share.weight / total, alone: true }));
}

const LOST = { code: 'INTERNAL', reason: 'LOST_ITEM', message: 'an item got no answer' } as const;

function refuse(error: DmoermError, locate: Locate): ItemOutcome {
  metrics.candidateErrors.inc({ task: '', reason: error.reason });
  return { type: 'error', error: locate(error) };
}

function isDegraded(answer: ItemOutcome): boolean {
  if (answer.type === 'error') return false;
  return answer.response.results.some(({ outcome }) => outcome?.$case === 'score' && outcome.value.degraded);
}

/** Tokens of all candidates that have a score. */
function tokensOf(answers: readonly ItemOutcome[]): number {
  return answers
    .flatMap((answer) => (answer.type === 'response' ? answer.response.results : []))
    .reduce((sum, { outcome }) => sum + (outcome?.$case === 'score' ? outcome.value.tokenCount : 0), 0);
}

function attempt<T>(work: () => T): T | DmoermError {
  try {
    return work();
  } catch (error) {
    return DmoermError.from(error);
  }
}

function textBytes({ prompt, candidates }: rewardV1.ScoreRequest): number {
  const texts =
    prompt?.$case === 'text' ? [prompt.value] : (prompt?.value.messages.map(({ content }) => content) ?? []);
  return [...texts, ...candidates].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

/** The revisions that a request holds: one lease each, all given back together. */
class Leases implements Disposable {
  private readonly held = new Map<string, Lease<RouterModel>>();

  constructor(private readonly revisions: Revisions<RouterModel>) {}

  pin(revision: string): Lease<RouterModel> {
    const lease = this.held.get(revision) ?? this.revisions.pin(revision);
    this.held.set(revision, lease);
    return lease;
  }

  [Symbol.dispose](): void {
    for (const lease of this.held.values()) lease[Symbol.dispose]();
  }
}

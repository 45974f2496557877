import { DmoermError, groupBy } from '@dmoerm/core';
import type { CandidateOutput, EvaluateItem, Model, PreparedItem } from '@dmoerm/model';
import type { CallContext } from '@dmoerm/rpc';
import { metrics } from '@dmoerm/telemetry';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { whenAllGone } from './all-gone';
import { PendingCall, startForwardSpan } from './pending-call';
import type { Priority } from './queue/flow';
import { Queue, dueTime } from './queue/queue';
import type { QueueEntry, QueueLimits } from './queue/queue';
import { expiry } from './queue/refusals';

/** Outputs of one call. */
export interface Answer {
  /** By item, by candidate: same order and length as asked. */
  readonly items: readonly (readonly CandidateOutput[])[];
  /** Longest wait of an item, nanoseconds. */
  readonly queueNs: number;
  /** Time of the batches that the items were in, nanoseconds. */
  readonly engineNs: number;
}

/** An item, and how urgent it is. */
export interface ExpertItem extends EvaluateItem {
  readonly priority: Priority;
}

/** Who asks and how long they wait. */
export interface Caller extends Pick<CallContext, 'signal' | 'deadline'> {
  /** Callers of the same name share one client's part of the engine. */
  readonly client: string;
}

/** What became of one item. */
interface Outcome {
  readonly outputs: readonly CandidateOutput[];
  /** The batch that it was in, by identity; null if the engine was not needed. */
  readonly batch: object | null;
  /** Time of that batch. */
  readonly engineNs: number;
}

/** An item ready for the engine, or one that nothing of can be scored. */
type Prepared =
  | { readonly type: 'ready'; readonly item: PreparedItem }
  | { readonly type: 'refused'; readonly outputs: readonly CandidateOutput[] };

interface Entry extends QueueEntry {
  readonly model: Model;
  readonly item: PreparedItem;
  readonly call: PendingCall;
  readonly resolve: (outcome: Outcome) => void;
  readonly fail: (error: DmoermError) => void;
}

const NS_PER_S = 1e9;

/** Feeds the engine: items of all calls wait in one queue and go into it in batches, one batch at a time. */
export class Expert {
  private readonly queue: Queue<Entry>;
  private pumping = false;

  constructor(limits: QueueLimits) {
    this.queue = new Queue(limits);
  }

  /**
   * Evaluates the items of one call. What is wrong with an item or a candidate becomes its error.
   * @throws DmoermError NOT_FOUND for the task; RESOURCE_EXHAUSTED, reason `QUEUE_FULL`, if it does not fit or cannot be
   *   done before the deadline; CANCELLED; DEADLINE_EXCEEDED.
   */
  async evaluate(
    model: Model,
    task: string,
    items: readonly ExpertItem[],
    { client, signal, deadline }: Caller,
  ): Promise<Answer> {
    model.capabilities(task);
    const common = { lane: model, task, client, signal, deadline, due: dueTime(deadline) };
    this.queue.check(items.map(({ priority }) => ({ ...common, priority })));
    const prepared: Prepared[] = [];
    for (const item of items) {
      prepared.push(prepare(model, task, item));
      // Tokenising is quick but not nothing: other calls, health checks and timers get their turn in between.
      await nextTurn();
    }
    const call = new PendingCall(task, prepared.filter(({ type }) => type === 'ready').length);
    const entries: Entry[] = [];
    const outcomes = prepared.map((one, i) => {
      if (one.type === 'refused') return Promise.resolve({ outputs: one.outputs, batch: null, engineNs: 0 });
      const { item } = one;
      const priority = items[i]?.priority ?? 'normal';
      return new Promise<Outcome>((resolve, fail) => {
        const drop = (error: DmoermError): void => {
          call.dropped();
          fail(error);
        };
        const own = { model, tokens: item.engineTokens, priority, item, call, drop, resolve, fail };
        entries.push({ ...common, ...own });
      });
    });
    try {
      this.queue.push(entries);
    } catch (error) {
      for (const { drop } of entries) drop(DmoermError.from(error));
    }
    using _leaving = onAbort(signal, () => {
      const over = expiry({ signal, deadline }, Date.now());
      if (over !== null) this.queue.withdraw(entries, over);
    });
    void this.pump();
    const done = await all(outcomes);
    const batches = new Map(done.map(({ batch, engineNs }) => [batch, engineNs]));
    return {
      items: done.map(({ outputs }) => outputs),
      queueNs: call.queueNs,
      engineNs: [...batches.values()].reduce((sum, ns) => sum + ns, 0),
    };
  }

  private async pump(): Promise<void> {
    if (this.pumping) return;
    this.pumping = true;
    while (this.queue.length > 0) {
      const batch = this.queue.take();
      if (batch.length === 0) continue;
      const start = performance.now();
      const complete = await forward(batch);
      this.queue.done(complete ? performance.now() - start : null);
    }
    this.pumping = false;
  }
}

/**
 * Runs one batch and tells its entries. If it fails, its items are tried alone, so that one cannot fail the others.
 * @returns whether it was computed at one go.
 */
async function forward(batch: readonly Entry[]): Promise<boolean> {
  const [first] = batch;
  if (first === undefined) return false;
  const tasks = groupBy(batch, ({ task }) => task);
  for (const [task, own] of tasks) {
    metrics.batchItems.observe({ task }, own.length);
    metrics.batchTokens.observe({ task }, sumTokens(own));
  }
  const calls = new Map<PendingCall, number>();
  for (const { call } of batch) calls.set(call, (calls.get(call) ?? 0) + 1);
  const revision = first.model.revision;
  const span = startForwardSpan({ tasks: [...tasks.keys()], revision, tokens: sumTokens(batch), calls });
  try {
    await compute(batch);
    return true;
  } catch (error) {
    if (batch.length === 1 || DmoermError.from(error).code === 'CANCELLED') {
      for (const { fail } of batch) fail(DmoermError.from(error));
    } else {
      for (const entry of batch)
        await compute([entry]).catch((own: unknown) => entry.fail(DmoermError.from(own)));
    }
    return false;
  } finally {
    span.end();
  }
}

async function compute(batch: readonly Entry[]): Promise<void> {
  const [first] = batch;
  if (first === undefined) return;
  const { model } = first;
  using gone = whenAllGone(batch.map(({ signal }) => signal));
  const { items, engineNs } = await model.evaluate(
    batch.map(({ item }) => item),
    gone.signal,
  );
  for (const task of new Set(batch.map((entry) => entry.task)))
    metrics.forwardDurationSeconds.observe({ task, backend: model.engine.info.backend }, engineNs / NS_PER_S);
  batch.forEach(({ resolve }, i) => resolve({ outputs: items[i] ?? [], batch, engineNs }));
}

function prepare(model: Model, task: string, item: EvaluateItem): Prepared {
  try {
    const prepared = model.prepare(task, item);
    const refused = prepared.candidates.filter((candidate) => candidate.type === 'error');
    if (refused.length === prepared.candidates.length) return { type: 'refused', outputs: refused };
    return { type: 'ready', item: prepared };
  } catch (cause) {
    const error = DmoermError.from(cause);
    return { type: 'refused', outputs: item.candidates.map(() => ({ type: 'error', error })) };
  }
}

/** Calls `leave` when the signal is aborted, until disposed of. */
function onAbort(signal: AbortSignal, leave: () => void): Disposable {
  signal.addEventListener('abort', leave, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', leave) };
}

function sumTokens(entries: readonly Entry[]): number {
  return entries.reduce((sum, { tokens }) => sum + tokens, 0);
}

/** Waits for all, the failed too, then throws the first failure: a hold on the model must outlast its last batch. */
async function all<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

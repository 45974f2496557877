import { groupBy } from '@dmoerm/core';
import type { DmoermError } from '@dmoerm/core';
import { metrics } from '@dmoerm/telemetry';
import { FairLine } from './fair-line';
import type { Priority, Waiting } from './flow';
import { Pace } from './pace';
import { cannotFinish, expiry, hopeless, queueFull } from './refusals';

/** An item that waits for the engine. */
export interface QueueEntry extends Waiting {
  readonly task: string;
  /** Aborted when the caller has gone or its deadline has passed. */
  readonly signal: AbortSignal;
  /** When the caller stops waiting, epoch milliseconds; null: never. */
  readonly deadline: number | null;
  /** Told when the entry leaves the queue without having been in a batch. */
  readonly drop: (error: DmoermError) => void;
}

/** What the queue asks of a call before its tokens are known. */
export type Asking = Pick<QueueEntry, 'task' | 'client' | 'priority' | 'due' | 'deadline' | 'signal'>;

/** How much work is taken at once. */
export interface QueueLimits {
  /** Tokens of one batch; an item alone may exceed them. */
  readonly maxBatchTokens: number;
  /** Tokens that may wait, of all clients together. One call alone may exceed them if nothing else waits. */
  readonly maxQueueTokens: number;
}

/**
 * Longest time that an entry lets others of its client pass, milliseconds: later deadlines, and none at all, count as this
 * long after its arrival.
 */
const PATIENCE_MS = 60_000;

/**
 * Tokens of one client and priority that may wait, in proportion to the room that is left: a client alone gets two thirds
 * of the budget, and however much the others have there is room for one who comes anew.
 */
const SHARE_OF_ROOM: Readonly<Record<Priority, number>> = { normal: 2, background: 0.5 };

/** The estimate of a wait is a mean, and the answer has a way to go: a tenth more must fit before the deadline. */
const MARGIN = 1.1;

/** When an entry that came at `now` should be answered. */
export function dueTime(deadline: number | null, now = Date.now()): number {
  return Math.min(deadline ?? Infinity, now + PATIENCE_MS);
}

/**
 * Entries that wait for the engine, within a budget of tokens and in the order of `FairLine`. What cannot be done in time is
 * refused when it comes; what nobody waits for any more, or what has become hopeless, never reaches the engine.
 */
export class Queue<E extends QueueEntry> {
  private readonly line = new FairLine<E>();
  private readonly pace = new Pace();

  constructor(private readonly limits: QueueLimits) {}

  get length(): number {
    return this.line.length;
  }

  /**
   * Refuses a call that could not be admitted whatever its size, before anything is spent on it.
   * @throws DmoermError as `push`.
   */
  check(asking: readonly Asking[], now = Date.now()): void {
    this.admit(asking, () => 0, now);
  }

  /**
   * Adds all entries of a call, or none.
   * @throws DmoermError RESOURCE_EXHAUSTED, reason `QUEUE_FULL`, with the time to wait, if the budget is spent or the wait
   *   is longer than the deadline leaves; what `expiry` says of a call that is over.
   */
  push(entries: readonly E[], now = Date.now()): void {
    this.admit(entries, ({ tokens }) => tokens, now);
    for (const entry of entries) this.line.add(entry);
    this.count(entries, 1);
  }

  /** Drops those of the entries that still wait, because their call is over. */
  withdraw(entries: readonly E[], error: DmoermError): void {
    this.dropAll(entries, () => error);
  }

  /** The next batch; empty if nothing waits. It runs until `done`. */
  take(now = Date.now()): readonly E[] {
    this.dropExpired(now);
    this.dropHopeless(now);
    const batch = this.line.take(this.limits.maxBatchTokens);
    this.count(batch, -1);
    if (batch.length > 0) this.pace.begin(sum(batch), now);
    return batch;
  }

  /** The batch taken last is done. @param ms Its time; null if it failed. */
  done(ms: number | null): void {
    this.pace.end(ms);
  }

  private admit<A extends Asking>(asking: readonly A[], tokensOf: (one: A) => number, now: number): void {
    const over = asking.map((one) => expiry(one, now)).find((error) => error !== null);
    if (over !== undefined) throw over;
    const flows = [...groupBy(asking, ({ priority }) => priority)].map(([priority, own]) => {
      const tokens = own.reduce((all, one) => all + tokensOf(one), 0);
      const leftMs = Math.min(...own.map(({ deadline }) => (deadline ?? Infinity) - now));
      return { priority, first: own[0] as A, tokens, leftMs };
    });
    const tokens = flows.reduce((all, flow) => all + flow.tokens, 0);
    for (const flow of flows) {
      if (this.excess(flow.first, flow.tokens, tokens) > 0) this.dropExpired(now);
      const excess = this.excess(flow.first, flow.tokens, tokens);
      if (excess > 0) throw this.refused(asking, 'QUEUE_FULL', queueFull(this.pace.time(excess)));
      const waitMs = this.wait(flow.first, flow.tokens, now);
      if (waitMs * MARGIN > flow.leftMs)
        throw this.refused(asking, 'DEADLINE_UNREACHABLE', cannotFinish(waitMs, flow.leftMs));
    }
  }

  /** Tokens by which `own` ones, of `all` that the call brings, exceed the share of their client and priority. */
  private excess(like: Asking, own: number, all: number): number {
    if (this.line.length === 0) return 0;
    const room = this.limits.maxQueueTokens - this.line.tokens - all;
    return this.line.tokensOf(like) + own - SHARE_OF_ROOM[like.priority] * Math.max(0, room);
  }

  /** Milliseconds until so many tokens of a flow would be answered; 0 for an idle engine, which shall try. */
  private wait(like: Asking, own: number, now: number): number {
    const { maxBatchTokens } = this.limits;
    const busy = this.pace.busy(now);
    if (busy === null && this.line.length === 0) return 0;
    // An entry is answered with its whole batch, which takes as much as there is.
    const before = this.line.ahead(like, own) + own;
    const batches = Math.ceil(before / maxBatchTokens) * maxBatchTokens;
    return (busy ?? 0) + this.pace.time(Math.min(batches, this.line.tokens + own));
  }

  private refused(asking: readonly Asking[], reason: string, error: DmoermError): DmoermError {
    for (const { task } of asking) metrics.shed.inc({ task, reason });
    return error;
  }

  private dropExpired(now: number): void {
    const expired = new Map<E, DmoermError>();
    for (const entry of this.line) {
      const error = expiry(entry, now);
      if (error !== null) expired.set(entry, error);
    }
    this.dropAll([...expired.keys()], (entry) => expired.get(entry) ?? hopeless());
  }

  /**
   * Drops what would not be answered in time if it were in the next batch; later ones are later still. Where that is
   * everything, the last to expire stays: the estimate may be wrong, and only a batch can tell.
   */
  private dropHopeless(now: number): void {
    const end = now + this.pace.time(Math.min(this.limits.maxBatchTokens, this.line.tokens));
    const late = [...this.line].filter(({ deadline }) => deadline !== null && deadline < end);
    if (late.length > 0 && late.length === this.line.length) {
      const last = late.reduce((a, b) => ((b.deadline ?? 0) > (a.deadline ?? 0) ? b : a));
      late.splice(late.indexOf(last), 1);
    }
    this.dropAll(late, hopeless);
  }

  private dropAll(entries: readonly E[], errorOf: (entry: E) => DmoermError): void {
    const dropped = entries.filter((entry) => this.line.remove(entry));
    this.count(dropped, -1);
    for (const entry of dropped) {
      const error = errorOf(entry);
      metrics.queueExpired.inc({ task: entry.task, reason: error.reason });
      entry.drop(error);
    }
  }

  private count(entries: readonly E[], sign: 1 | -1): void {
    for (const { task, tokens } of entries) {
      metrics.queueItems.inc({ task }, sign);
      metrics.queueTokens.inc({ task }, sign * tokens);
    }
  }
}

function sum(entries: readonly Waiting[]): number {
  return entries.reduce((total, { tokens }) => total + tokens, 0);
}

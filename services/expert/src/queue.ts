import { DmoermError } from '@dmoerm/core';
import { metrics } from '@dmoerm/telemetry';
import { takeBatch } from './batcher';
import type { Waiting } from './batcher';

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

/** How long a refused caller should wait: about the time of a few batches. */
const RETRY_AFTER_MS = 250;

/** Entries in order of arrival, bounded by their tokens. What nobody waits for any more never reaches the engine. */
export class Queue<E extends QueueEntry> {
  private entries: readonly E[] = [];
  private tokens = 0;

  /** @param maxTokens Tokens that may wait; one call alone may exceed them if nothing else waits. */
  constructor(private readonly maxTokens: number) {}

  get length(): number {
    return this.entries.length;
  }

  /** Adds all entries of a call, or none. @throws DmoermError RESOURCE_EXHAUSTED, reason `QUEUE_FULL`. */
  push(entries: readonly E[]): void {
    const tokens = sum(entries);
    if (this.tokens + tokens > this.maxTokens) this.dropExpired();
    if (this.tokens > 0 && this.tokens + tokens > this.maxTokens) {
      for (const { task } of entries) metrics.shed.inc({ task, reason: 'QUEUE_FULL' });
      throw queueFull();
    }
    this.entries = [...this.entries, ...entries];
    this.count(entries, 1);
  }

  /** The next batch, see `takeBatch`; empty if nothing waits. */
  take(maxBatchTokens: number): readonly E[] {
    this.dropExpired();
    const { batch, rest } = takeBatch(this.entries, maxBatchTokens);
    this.entries = rest;
    this.count(batch, -1);
    return batch;
  }

  private dropExpired(): void {
    const now = Date.now();
    const kept: E[] = [];
    const expired: [E, DmoermError][] = [];
    for (const entry of this.entries) {
      const error = expiry(entry, now);
      if (error === null) kept.push(entry);
      else expired.push([entry, error]);
    }
    this.entries = kept;
    this.count(
      expired.map(([entry]) => entry),
      -1,
    );
    for (const [entry, error] of expired) {
      metrics.queueExpired.inc({ task: entry.task, reason: error.reason });
      entry.drop(error);
    }
  }

  private count(entries: readonly E[], sign: 1 | -1): void {
    for (const { task, tokens } of entries) {
      this.tokens += sign * tokens;
      metrics.queueItems.inc({ task }, sign);
      metrics.queueTokens.inc({ task }, sign * tokens);
    }
  }
}

/** Why nobody waits for an entry any more, or null. The clock is asked too: a busy event loop delays timers. */
function expiry({ signal, deadline }: QueueEntry, now: number): DmoermError | null {
  if (signal.aborted && signal.reason instanceof DmoermError) return signal.reason;
  if (signal.aborted)
    return new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'the caller has gone' });
  if (deadline === null || now < deadline) return null;
  return new DmoermError({
    code: 'DEADLINE_EXCEEDED',
    reason: 'DEADLINE_EXCEEDED',
    message: 'the deadline passed while the item waited for the engine',
  });
}

function queueFull(): DmoermError {
  return new DmoermError({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'QUEUE_FULL',
    message: 'too many tokens wait for the engine; try again later, or send less at once',
    retryAfterMs: RETRY_AFTER_MS,
  });
}

function sum(entries: readonly Waiting[]): number {
  return entries.reduce((total, { tokens }) => total + tokens, 0);
}

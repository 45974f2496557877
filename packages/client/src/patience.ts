import { DmoermError } from '@dmoerm/core';
import { setTimeout as sleep } from 'node:timers/promises';

/** A server that names no time. */
const DEFAULT_WAIT_MS = 500;
const WAITING_HELPS = new Set(['QUEUE_FULL', 'QUOTA_EXCEEDED']);

/**
 * Calls again while the server says that its queue is full or the caller's quota used up, after the time that it names and up to half as much again, so
 * that callers do not come back together. Other failures, and a deadline that is nearer than the wait, are thrown on.
 * @param deadline epoch milliseconds.
 */
export async function withPatience<T>(
  call: () => Promise<T>,
  deadline: number,
  signal?: AbortSignal,
): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof DmoermError) || !WAITING_HELPS.has(error.reason)) throw error;
      const waitMs = (error.retryAfterMs ?? DEFAULT_WAIT_MS) * (1 + Math.random() / 2);
      if (Date.now() + waitMs >= deadline) throw error;
      await sleep(waitMs, undefined, signal === undefined ? {} : { signal }).catch(cancel);
    }
  }
}

function cancel(): never {
  throw new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'the call was cancelled' });
}

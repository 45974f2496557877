import { DmoermError } from '@dmoerm/core';

/** What callers wait at least before they come again, milliseconds. */
const LEAST_RETRY_MS = 50;
/** And at most: the load may be gone sooner than it seems. */
const MOST_RETRY_MS = 10_000;

/** Too many tokens wait. @param retryMs when there will be room, as far as one knows. */
export function queueFull(retryMs: number): DmoermError {
  return new DmoermError({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'QUEUE_FULL',
    message: 'too many tokens wait for the engine; try again later, or send less at once',
    retryAfterMs: bounded(retryMs),
  });
}

/** What goes before the call takes longer than its caller waits. */
export function cannotFinish(waitMs: number, leftMs: number): DmoermError {
  return new DmoermError({
    code: 'RESOURCE_EXHAUSTED',
    reason: 'QUEUE_FULL',
    message:
      'the work that goes first takes longer than the deadline leaves; try again later, or wait longer',
    retryAfterMs: bounded(waitMs - leftMs),
    metadata: { wait_ms: String(Math.ceil(waitMs)), left_ms: String(Math.floor(leftMs)) },
  });
}

/** The engine would not be done in time: the item was dropped to make room for those that can be. */
export function hopeless(): DmoermError {
  return new DmoermError({
    code: 'DEADLINE_EXCEEDED',
    reason: 'DEADLINE_UNREACHABLE',
    message: 'the engine would not have been done before the deadline',
  });
}

/** Why nobody waits for an entry any more, or null. The clock is asked too: a busy event loop delays timers. */
export function expiry(
  { signal, deadline }: { readonly signal: AbortSignal; readonly deadline: number | null },
  now: number,
): DmoermError | null {
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

function bounded(ms: number): number {
  return Math.min(MOST_RETRY_MS, Math.max(LEAST_RETRY_MS, Math.ceil(ms)));
}

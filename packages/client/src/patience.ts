import { DmoermError } from '@dmoerm/core';
import { setTimeout as sleep } from 'node:timers/promises';

/** For a server that names no time. */
const DEFAULT_WAIT_MS = 500;
/** Refusals that tell when to come back. */
const LATER: ReadonlySet<string> = new Set(['QUEUE_FULL', 'QUOTA_EXCEEDED']);
/** How long a router or its experts may be away, as while they restart. */
const AWAY_MS = 30_000;
/** Refusals that pass: the replica drains; the router found no expert; nobody listens. */
const AWAY: ReadonlySet<string> = new Set(['DRAINING', 'NO_REPLICA', 'UNAVAILABLE']);

/** Decides whether a failure is worth another call, and waits for it. */
export class Patience {
  private awaySince: number | null = null;

  /** @param deadline epoch milliseconds. */
  constructor(
    private readonly deadline: number,
    private readonly signal?: AbortSignal,
  ) {}

  /** The server answered: it is there. */
  progress(): void {
    this.awaySince = null;
  }

  /** How long to wait before asking again, milliseconds; null if that is no use. Callers do not come back together. */
  waitMs(error: DmoermError): number | null {
    if (!LATER.has(error.reason)) {
      if (error.code !== 'UNAVAILABLE' || !AWAY.has(error.reason)) return null;
      this.awaySince ??= Date.now();
      if (Date.now() - this.awaySince > AWAY_MS) return null;
    }
    const waitMs = (error.retryAfterMs ?? DEFAULT_WAIT_MS) * (1 + Math.random() / 2);
    return Date.now() + waitMs < this.deadline ? waitMs : null;
  }

  /** Waits as long as the failure asks for. @throws what failed, if waiting is no use; CANCELLED. */
  async wait(error: unknown): Promise<void> {
    const waitMs = error instanceof DmoermError ? this.waitMs(error) : null;
    if (waitMs === null) throw error;
    await this.sleep(waitMs);
  }

  /** @throws DmoermError CANCELLED. */
  async sleep(ms: number): Promise<void> {
    await sleep(ms, undefined, this.signal === undefined ? {} : { signal: this.signal }).catch(cancel);
  }
}

/**
 * Calls again while the server says that its queue is full or the caller's quota used up, and for a while when it is away. Other failures, and a deadline
 * that is nearer than the wait, are thrown on.
 * @param deadline epoch milliseconds.
 */
export async function withPatience<T>(
  call: () => Promise<T>,
  deadline: number,
  signal?: AbortSignal,
): Promise<T> {
  const patience = new Patience(deadline, signal);
  for (;;) {
    try {
      return await call();
    } catch (error) {
      await patience.wait(error);
    }
  }
}

function cancel(): never {
  throw new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'the call was cancelled' });
}

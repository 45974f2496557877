import { DmoermError } from '@dmoerm/core';
import type { CallOptions, Definition, RpcClient } from '@dmoerm/rpc';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from './picker';

/** One attempt at a call. */
export type Attempt<D extends Definition, T> = (
  calls: RpcClient<D>['call'],
  options: CallOptions,
) => Promise<T>;

/**
 * A connection to one replica. While it owes answers it is watched: a frozen process keeps its connections, and only its
 * silence tells. One that is just slow answers its health check, for engines work beside the thread that serves.
 */
export class Replica<D extends Definition> implements Worker {
  outstanding = 0;
  private readonly attempts = new Set<AbortController>();
  private heardAt = 0;
  private watched = false;

  /**
   * @param silenceMs after which the replica is asked for a sign of life, and again the time that it has to give it.
   * @param mayLeave whether a silent replica is to be left: not where its calls have nowhere else to go.
   */
  constructor(
    readonly address: string,
    private readonly client: RpcClient<D>,
    private readonly silenceMs: number,
    private readonly mayLeave: () => boolean,
  ) {}

  /**
   * Makes an attempt of `work` units; aborting `lost` gives it up.
   * @throws DmoermError of the call; UNAVAILABLE, reason `REPLICA_SILENT`, if the replica gives no sign of life.
   */
  async attempt<T>(
    attempt: Attempt<D, T>,
    work: number,
    options: Omit<CallOptions, 'signal'>,
    lost: AbortController,
  ): Promise<T> {
    this.outstanding += work;
    if (this.attempts.size === 0) this.heardAt = performance.now();
    this.attempts.add(lost);
    if (!this.watched) void this.watch();
    try {
      const answer = await attempt(this.client.call, { ...options, signal: lost.signal });
      this.heardAt = performance.now();
      return answer;
    } finally {
      this.outstanding -= work;
      this.attempts.delete(lost);
    }
  }

  /** Whether it is up and serving. Never rejects. */
  isServing(): Promise<boolean> {
    return this.client.checkHealth(this.silenceMs).catch(() => false);
  }

  /** Resolves when connected. @throws DmoermError UNAVAILABLE at `deadline`, epoch milliseconds. */
  waitForReady(deadline: number): Promise<void> {
    return this.client.waitForReady(deadline);
  }

  /** Takes no more calls; those under way go on. */
  close(): void {
    this.client.close();
  }

  private async watch(): Promise<void> {
    this.watched = true;
    while (this.attempts.size > 0) {
      const leftMs = this.heardAt + this.silenceMs - performance.now();
      if (leftMs > 0) await sleep(leftMs, undefined, { ref: false });
      else if ((await this.givesSign()) || !this.mayLeave()) this.heardAt = performance.now();
      else for (const one of this.attempts) one.abort(silent(this.address));
    }
    this.watched = false;
  }

  private async givesSign(): Promise<boolean> {
    const asked = performance.now();
    const answered = await this.client.checkHealth(this.silenceMs).then(
      () => true,
      (error: unknown) => !NO_ANSWER.has(DmoermError.from(error).code),
    );
    // When our own loop was held up, the time limit says nothing about the peer.
    const fair = performance.now() - asked < this.silenceMs * 1.5;
    return answered || this.heardAt > asked || !fair;
  }
}

const NO_ANSWER: ReadonlySet<string> = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED']);

function silent(address: string): DmoermError {
  return new DmoermError({
    code: 'UNAVAILABLE',
    reason: 'REPLICA_SILENT',
    message: `the replica at ${address} gives no sign of life`,
    metadata: { address },
  });
}

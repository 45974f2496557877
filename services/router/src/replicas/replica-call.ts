import { DmoermError } from '@dmoerm/core';
import type { CallContext, Definition } from '@dmoerm/rpc';
import { metrics } from '@dmoerm/telemetry';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hedging } from './hedging';
import type { Picker } from './picker';
import type { Attempt, Replica } from './replica';

/** What a call works with. */
export interface CallParts<D extends Definition> {
  /** Name of the service in metrics. */
  readonly peer: string;
  readonly picker: Picker<Replica<D>>;
  readonly hedging: Hedging;
  /** How long a call waits for the first replica to come back after the last has gone, milliseconds. */
  readonly awayMs: number;
  /** Told of a replica that failed in a way that speaks against it. */
  readonly onDoubt: (replica: Replica<D>, error: DmoermError) => void;
}

/** Attempts of one call, the hedge included. */
const MAX_ATTEMPTS = 4;
/** When all replicas have been tried they are tried again, after 50 ms, then twice as long. */
const FIRST_PAUSE_MS = 50;
const RETRY_AFTER_MS = 1_000;
/** Overload and wrong requests say nothing against a replica. */
const DOUBTFUL: ReadonlySet<string> = new Set(['UNAVAILABLE', 'INTERNAL']);

/**
 * One call to whichever replica answers first: another replica is tried when one cannot be reached, and beside it when it
 * is late. Answers of the others are not waited for; their calls are cancelled.
 */
export class ReplicaCall<D extends Definition, T> {
  private readonly tried = new Set<Replica<D>>();
  private readonly running = new Set<AbortController>();
  private attempts = 0;
  private over = false;

  /** @param work units of work, for balancing. */
  constructor(
    private readonly parts: CallParts<D>,
    private readonly attempt: Attempt<D, T>,
    private readonly work: number,
    private readonly context: CallContext,
  ) {}

  /** @throws DmoermError what the replica said; UNAVAILABLE, reason `NO_REPLICA`, if none could be reached. */
  async run(): Promise<T> {
    const { hedging } = this.parts;
    hedging.called();
    const { delayMs } = hedging;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        const settle = { resolve, reject };
        void this.launch(settle, false);
        if (delayMs !== null) timer = setTimeout(() => this.hedge(settle), delayMs);
      });
    } finally {
      this.over = true;
      clearTimeout(timer);
      for (const attempt of this.running) attempt.abort();
    }
  }

  private hedge(settle: Settle<T>): void {
    const { picker, hedging } = this.parts;
    const other = picker.pick(this.tried);
    // While a retry is under way, the late replica is the other one; and a doubtful one is no help.
    if (this.attempts > 1 || other === null || picker.isEjected(other) || !hedging.take()) return;
    void this.launch(settle, true);
  }

  /** Makes attempts until one succeeds, fails for good, or leaves the outcome to another that is still running. */
  private async launch(settle: Settle<T>, hedge: boolean): Promise<void> {
    let last: DmoermError | null = null;
    while (this.attempts < MAX_ATTEMPTS) {
      const replica = await this.next();
      if (this.over) return;
      if (replica === null) break;
      const result = await this.try(replica, hedge);
      if (this.over) return;
      if (!(result instanceof DmoermError)) return settle.resolve(result.answer);
      if (result.code !== 'UNAVAILABLE' || this.context.signal.aborted) return settle.reject(result);
      if (this.running.size > 0) return;
      last = result;
      hedge = false;
    }
    if (this.running.size === 0) settle.reject(noReplica(this.parts.peer, last));
  }

  private async try(replica: Replica<D>, hedge: boolean): Promise<DmoermError | { readonly answer: T }> {
    const { peer, picker, hedging, onDoubt } = this.parts;
    const begin = performance.now();
    const lost = new AbortController();
    this.tried.add(replica);
    this.running.add(lost);
    const attempt = ++this.attempts;
    let outcome = 'ok';
    try {
      const options = { context: this.context, attempt };
      const answer = await replica.attempt(this.attempt, this.work, options, lost);
      picker.succeeded(replica);
      hedging.answered(performance.now() - begin);
      return { answer };
    } catch (cause) {
      const error = DmoermError.from(cause);
      outcome = this.over ? 'overtaken' : error.code.toLowerCase();
      // It would have taken at least this long; leaving the late ones out would make everything look late.
      if (this.over) hedging.answered(performance.now() - begin);
      else if (!this.context.signal.aborted && DOUBTFUL.has(error.code)) onDoubt(replica, error);
      return error;
    } finally {
      this.running.delete(lost);
      metrics.attempts.inc({ peer, outcome });
      if (hedge) metrics.hedges.inc({ peer, outcome });
    }
  }

  /** A well replica that was not tried yet; when there is none, any, after one is back or after a pause. */
  private async next(): Promise<Replica<D> | null> {
    const { picker, awayMs } = this.parts;
    const fresh = picker.pick(this.tried);
    if (fresh !== null && !picker.isEjected(fresh)) return fresh;
    // All may be restarting, one after the other. Of a service that has been away for longer nothing is hoped for.
    const since = picker.allAwaySince;
    const hopeMs = since === null ? 0 : since + awayMs - performance.now();
    if (hopeMs > 0) await picker.whenBack(hopeMs, this.context.signal);
    else if (fresh !== null) return fresh;
    else await sleep(FIRST_PAUSE_MS * 2 ** Math.max(0, this.attempts - 1) * (0.5 + Math.random()));
    this.tried.clear();
    return picker.pick(this.tried);
  }
}

interface Settle<T> {
  resolve(answer: T): void;
  reject(error: DmoermError): void;
}

/** Its cause is a failed call of our own, which forbids the caller to try again: the attempts would multiply. */
function noReplica(peer: string, cause: DmoermError | null): DmoermError {
  return new DmoermError({
    code: 'UNAVAILABLE',
    reason: 'NO_REPLICA',
    message: `no replica of the ${peer} service could be reached${cause === null ? '' : `; the last: ${cause.message}`}`,
    metadata: { peer },
    retryAfterMs: RETRY_AFTER_MS,
    ...(cause === null ? {} : { cause }),
  });
}

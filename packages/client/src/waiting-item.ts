import { DmoermError } from '@dmoerm/core';
import type { rewardV1 } from '@dmoerm/protos';
import { trace } from '@opentelemetry/api';
import type { SpanContext } from '@opentelemetry/api';
import { toParcel } from './merge';
import type { Parcel } from './merge';
import { Patience } from './patience';
import type { ItemResult, ScoredItem } from './types';

/** An item whose caller waits, from the call to its outcome: however often it travels, it has one. */
export class WaitingItem implements Parcel {
  readonly key: string;
  readonly bytes: number;
  /** Since it was put into the queue the last time, on the clock of `performance.now`. */
  queuedAt = 0;
  /** The caller's span, if any. */
  readonly caller: SpanContext | undefined = trace.getActiveSpan()?.spanContext();
  readonly outcome: Promise<ScoredItem>;
  private readonly patience: Patience;
  private readonly deadlineTimer: NodeJS.Timeout;
  private resolve: (item: ScoredItem) => void = () => undefined;
  private reject: (error: DmoermError) => void = () => undefined;
  private readonly onAbort = (): void => this.fail(cancelled());
  private whenOver: (() => void)[] = [];
  /** What it was refused with last, if that passes with time: the reason why it is late. */
  private refusal: DmoermError | null = null;
  private done = false;

  /** @param deadline epoch milliseconds. */
  constructor(
    readonly request: rewardV1.ScoreRequest,
    readonly deadline: number,
    private readonly signal?: AbortSignal,
  ) {
    ({ key: this.key, bytes: this.bytes } = toParcel(request));
    this.patience = new Patience(deadline);
    this.outcome = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.deadlineTimer = setTimeout(() => this.fail(this.refusal ?? late()), deadline - Date.now());
    if (signal?.aborted) this.onAbort();
    else signal?.addEventListener('abort', this.onAbort, { once: true });
  }

  /** Whether it has its outcome, so that nobody waits any more. */
  get isOver(): boolean {
    return this.done;
  }

  /** Calls back when nobody waits any more; at once if nobody does. */
  onOver(callback: () => void): void {
    if (this.done) callback();
    else this.whenOver.push(callback);
  }

  /**
   * What came of a call.
   * @returns how long to wait before the item is asked again, milliseconds; null: it has its outcome.
   */
  take(result: ItemResult): number | null {
    if (this.done) return null;
    if (result.type === 'scored') {
      const { type: _, ...scored } = result;
      this.end(() => this.resolve(scored));
      return null;
    }
    const waitMs = this.patience.waitMs(result.error);
    if (waitMs === null) this.fail(result.error);
    else this.refusal = result.error;
    return waitMs;
  }

  /** Ends the wait with an error. */
  fail(error: DmoermError): void {
    this.end(() => this.reject(error));
  }

  private end(tell: () => void): void {
    if (this.done) return;
    this.done = true;
    clearTimeout(this.deadlineTimer);
    this.signal?.removeEventListener('abort', this.onAbort);
    tell();
    for (const callback of this.whenOver.splice(0)) callback();
  }
}

function cancelled(): DmoermError {
  return new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'the call was cancelled' });
}

function late(): DmoermError {
  return new DmoermError({
    code: 'DEADLINE_EXCEEDED',
    reason: 'DEADLINE_EXCEEDED',
    message: 'the deadline passed before the item had a reward',
  });
}

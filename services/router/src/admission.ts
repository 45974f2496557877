import { DmoermError } from '@dmoerm/core';

/** What may be in flight at once. */
export interface AdmissionLimits {
  readonly maxInFlightItems: number;
  readonly maxInFlightBytes: number;
}

/** Time for some of the items in flight to be answered. */
const RETRY_AFTER_MS = 500;

/** Lets work in before anything is spent on it, and refuses what would make all the rest late. */
export class Admission {
  private items = 0;
  private bytes = 0;

  constructor(private readonly limits: AdmissionLimits) {}

  /**
   * Admits items until the permit is disposed of. What exceeds the limits alone is let in when nothing else is in flight.
   * @throws DmoermError RESOURCE_EXHAUSTED, reason `QUEUE_FULL`, with the time to wait.
   */
  admit(items: number, bytes: number): Disposable {
    const { maxInFlightItems, maxInFlightBytes } = this.limits;
    const full = this.items + items > maxInFlightItems || this.bytes + bytes > maxInFlightBytes;
    if (full && this.items > 0)
      throw new DmoermError({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'QUEUE_FULL',
        message: 'too many items are in flight; try again later, or send fewer at once',
        retryAfterMs: RETRY_AFTER_MS,
      });
    this.items += items;
    this.bytes += bytes;
    let admitted = true;
    return {
      [Symbol.dispose]: () => {
        if (!admitted) return;
        admitted = false;
        this.items -= items;
        this.bytes -= bytes;
      },
    };
  }
}

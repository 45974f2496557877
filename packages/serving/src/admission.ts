import { DmoermError } from '@dmoerm/core';

/** What may be in flight at once. */
export interface AdmissionLimits {
  readonly maxInFlightItems: number;
  readonly maxInFlightBytes: number;
}

/** Time for some of the items in flight to be answered. */
const RETRY_AFTER_MS = 500;
/** A caller that was refused comes back within this time, and has its share kept for it. */
const MEMORY_MS = 4 * RETRY_AFTER_MS;

/** What one caller has in flight, and when it last asked for more. */
interface Caller {
  items: number;
  askedAt: number;
}

/** Lets work in before anything is spent on it, and refuses what would make all the rest late. */
export class Admission {
  private items = 0;
  private bytes = 0;
  private readonly callers = new Map<string, Caller>();

  constructor(private readonly limits: AdmissionLimits) {}

  /**
   * Admits items until the permit is disposed of. What exceeds the limits alone is let in when nothing else is in flight.
   * While several callers want to come in, none gets more than an equal share of the items.
   * @param name of the caller.
   * @throws DmoermError RESOURCE_EXHAUSTED, reason `QUEUE_FULL`, with the time to wait.
   */
  admit(items: number, bytes: number, name = ''): Disposable {
    const { maxInFlightItems, maxInFlightBytes } = this.limits;
    const caller = this.ask(name);
    const full =
      this.items + items > maxInFlightItems ||
      this.bytes + bytes > maxInFlightBytes ||
      (caller.items > 0 && caller.items + items > maxInFlightItems / this.callers.size);
    if (full && this.items > 0)
      throw new DmoermError({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'QUEUE_FULL',
        message: 'too many items are in flight; try again later, or send fewer at once',
        retryAfterMs: RETRY_AFTER_MS,
      });
    this.items += items;
    caller.items += items;
    this.bytes += bytes;
    let admitted = true;
    return {
      [Symbol.dispose]: () => {
        if (!admitted) return;
        admitted = false;
        this.items -= items;
        caller.items -= items;
        this.bytes -= bytes;
      },
    };
  }

  /** Notes that a caller wants to come in, and forgets those that have gone. */
  private ask(name: string): Caller {
    const now = performance.now();
    const caller = this.callers.get(name) ?? { items: 0, askedAt: now };
    caller.askedAt = now;
    this.callers.set(name, caller);
    for (const [other, { items, askedAt }] of this.callers)
      if (items === 0 && now - askedAt > MEMORY_MS) this.callers.delete(other);
    return caller;
  }
}

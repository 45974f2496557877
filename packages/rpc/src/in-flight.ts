/** A call that has no status yet. */
export interface PendingCall {
  /** Ends the call with UNAVAILABLE, so that its caller tries elsewhere. */
  abandon(): void;
}

/** The calls in flight. */
export class InFlight {
  private readonly calls = new Set<PendingCall>();
  private waiters: (() => void)[] = [];

  /** A call has come. */
  enter(call: PendingCall): void {
    this.calls.add(call);
  }

  /** A call has its status. */
  leave(call: PendingCall): void {
    this.calls.delete(call);
    if (this.calls.size === 0) this.waiters.splice(0).forEach((wake) => wake());
  }

  /** Resolves when no call is in flight, or after `timeoutMs`. */
  async whenIdle(timeoutMs: number): Promise<void> {
    if (this.calls.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Ends all calls that are still in flight. */
  abandon(): void {
    for (const call of [...this.calls]) call.abandon();
  }
}

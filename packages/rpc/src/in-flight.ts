/** Counts calls and tells when there are none. */
export class InFlight {
  private count = 0;
  private waiters: (() => void)[] = [];

  /** A call has come. */
  enter(): void {
    this.count += 1;
  }

  /** A call has its status. */
  leave(): void {
    this.count -= 1;
    if (this.count === 0) this.waiters.splice(0).forEach((wake) => wake());
  }

  /** Resolves when no call is in flight, or after `timeoutMs`. */
  async whenIdle(timeoutMs: number): Promise<void> {
    if (this.count === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** How much a batch's time counts after the next one: the estimate follows within some ten batches. */
const MEMORY = 0.9;

/** How fast the engine is, measured batch by batch, and when it will be free. */
export class Pace {
  private ms = 0;
  private tokens = 0;
  private running: { readonly tokens: number; readonly since: number } | null = null;

  /** A batch goes into the engine at `now`, milliseconds. */
  begin(tokens: number, now: number): void {
    this.running = { tokens, since: now };
  }

  /** It is done. @param ms What it took; null if that tells nothing, as when it was cancelled. */
  end(ms: number | null): void {
    if (ms !== null && this.running !== null) {
      this.ms = MEMORY * this.ms + ms;
      this.tokens = MEMORY * this.tokens + this.running.tokens;
    }
    this.running = null;
  }

  /** Milliseconds that so many tokens take; 0 as long as nothing was measured: then everything is possible. */
  time(tokens: number): number {
    return this.tokens === 0 ? 0 : (tokens * this.ms) / this.tokens;
  }

  /** Milliseconds until the running batch is done; null if there is none. */
  busy(now: number): number | null {
    if (this.running === null) return null;
    return Math.max(0, this.time(this.running.tokens) - (now - this.running.since));
  }
}

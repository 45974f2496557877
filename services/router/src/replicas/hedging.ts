/** Answers by whose times the delay is measured. */
const WINDOW = 256;
/** With fewer answers than these nobody knows what is late. */
const ENOUGH = 32;
const LATE = 0.95;
/** Answers between two looks at the window. */
const REFRESH = 16;
/** Hedges that may have been saved up, so that a fault after hours of peace does not start a storm. */
const MOST_SAVED = 10;

/** Says when a second attempt is worth it, and how many may be made: a share of all calls. */
export class Hedging {
  private readonly times: number[] = [];
  private next = 0;
  private saved = 0;
  private delay: number | null = null;

  /** @param share of calls that may be asked twice, 0 to 1. */
  constructor(private readonly share: number) {}

  /** After how long an answer is late: the 95th percentile of the last ones, milliseconds; null: too early to say. */
  get delayMs(): number | null {
    return this.share > 0 ? this.delay : null;
  }

  /** A call begins. */
  called(): void {
    this.saved = Math.min(MOST_SAVED, this.saved + this.share);
  }

  /** An attempt was answered after `ms`. */
  answered(ms: number): void {
    this.times[this.next++ % WINDOW] = ms;
    if (this.next < ENOUGH || this.next % REFRESH !== 0) return;
    const sorted = [...this.times].sort((a, b) => a - b);
    this.delay = sorted[Math.ceil(sorted.length * LATE) - 1] ?? null;
  }

  /** Whether one more second attempt may be made; if so it is counted. */
  take(): boolean {
    // Shares add up with rounding errors: twenty twentieths are one.
    if (this.saved < 1 - 1e-9) return false;
    this.saved -= 1;
    return true;
  }
}

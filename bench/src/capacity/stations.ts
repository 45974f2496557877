import type { Events } from './events';

/** A thread that does one thing after another, in the order in which it is asked: the event loop of a service. */
export class Loop {
  /** Seconds of work done or begun. */
  busy = 0;
  private free = 0;

  constructor(private readonly events: Events) {}

  /** Does work of `seconds`, then goes on with `next`. */
  do(seconds: number, next: () => void): void {
    this.free = Math.max(this.free, this.events.now) + seconds;
    this.busy += seconds;
    this.events.at(this.free, next);
  }
}

/** What an engine computes for one call. */
export interface Job {
  readonly tokens: number;
  readonly done: () => void;
}

/** An engine with the queue before it: what waits goes in together, up to a budget of tokens, one batch at a time. */
export class Engine {
  /** Seconds of work done or begun. */
  busy = 0;
  batches = 0;
  private readonly waiting: Job[] = [];
  private waitingTokens = 0;
  private running = false;

  constructor(
    private readonly events: Events,
    private readonly limits: {
      readonly secondsPerToken: number;
      readonly maxBatchTokens: number;
      readonly maxQueueTokens: number;
    },
  ) {}

  /** Takes a job, or refuses it because too much waits. */
  push(job: Job): boolean {
    if (this.waitingTokens > 0 && this.waitingTokens + job.tokens > this.limits.maxQueueTokens) return false;
    this.waiting.push(job);
    this.waitingTokens += job.tokens;
    if (!this.running) this.next();
    return true;
  }

  private next(): void {
    const { secondsPerToken, maxBatchTokens } = this.limits;
    let [count, tokens] = [0, 0];
    for (const job of this.waiting) {
      if (count > 0 && tokens + job.tokens > maxBatchTokens) break;
      tokens += job.tokens;
      count++;
    }
    this.running = count > 0;
    if (count === 0) return;
    const batch = this.waiting.splice(0, count);
    const seconds = tokens * secondsPerToken;
    this.waitingTokens -= tokens;
    this.busy += seconds;
    this.batches++;
    this.events.at(this.events.now + seconds, () => {
      for (const { done } of batch) done();
      this.next();
    });
  }
}

/**
 * What one router knows of the replicas: its own calls that they owe. It takes the one that owes least, those that it took longer ago first, as the
 * router's own picker does.
 */
export class Choice {
  private readonly owed: Uint32Array;
  private last = -1;

  /** @param first where it begins, so that routers that start together do not go in step. */
  constructor(
    private readonly replicas: readonly number[],
    first: number,
  ) {
    this.owed = new Uint32Array(replicas.length);
    this.last = first % replicas.length;
  }

  /** A replica, which owes `work` from now on; `give` takes it back. */
  take(work: number): { readonly replica: number; give(): void } {
    const { owed, replicas } = this;
    let best = -1;
    for (let step = 1; step <= replicas.length; step++) {
      const i = (this.last + step) % replicas.length;
      if (best < 0 || (owed[i] ?? 0) < (owed[best] ?? 0)) best = i;
      if (owed[best] === 0) break;
    }
    this.last = best;
    owed[best] = (owed[best] ?? 0) + work;
    return { replica: replicas[best] ?? 0, give: () => void (owed[best] = (owed[best] ?? 0) - work) };
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { TokenBucket } from 'limiter';

/** Limits on how fast an endpoint is asked; null: none. */
export interface PaceOptions {
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly concurrency: number;
}

/** How fast to ask. */
export interface Pace {
  /** Resolves when a request of so many tokens may be sent; rejects when `signal` aborts. */
  wait(tokens: number, signal: AbortSignal): Promise<void>;
  /** A mark to hand to `slowDown`. */
  begin(): number;
  /** The endpoint said 429 to a request that began at `mark`: half as many at a time, once for all that were on their way. */
  slowDown(mark: number): void;
  /** An answer came: after as many answers as run at a time, one more at a time, up to what was given. */
  speedUp(): void;
  readonly concurrency: number;
}

/** Token buckets per minute for requests and tokens, and a concurrency that follows the endpoint's complaints. */
export function createPace(
  { requestsPerMinute, tokensPerMinute, concurrency: most }: PaceOptions,
  onConcurrency: (concurrency: number) => void,
): Pace {
  const requests = createBucket(requestsPerMinute);
  const tokenBucket = createBucket(tokensPerMinute);
  let concurrency = most;
  let slowed = 0;
  let answers = 0;
  const set = (next: number): void => {
    concurrency = next;
    answers = 0;
    onConcurrency(next);
  };
  return {
    wait: async (tokens, signal) => {
      await take(requests, 1, signal);
      await take(tokenBucket, tokens, signal);
    },
    begin: () => slowed,
    slowDown: (mark) => {
      if (mark !== slowed) return;
      slowed++;
      set(Math.max(1, Math.floor(concurrency / 2)));
    },
    speedUp: () => {
      if (++answers >= concurrency && concurrency < most) set(concurrency + 1);
    },
    get concurrency() {
      return concurrency;
    },
  };
}

/** A bucket starts empty and holds a second's worth: no burst meets an endpoint that counts by minutes of its own. */
function createBucket(perMinute: number | null): TokenBucket | null {
  if (perMinute === null) return null;
  return new TokenBucket({
    bucketSize: Math.max(1, perMinute / 60),
    tokensPerInterval: perMinute,
    interval: 'minute',
  });
}

/** Takes what a bucket never holds at once in parts. */
async function take(bucket: TokenBucket | null, count: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (bucket === null) return;
  for (let left = count; left > 0; left -= bucket.bucketSize) {
    const part = Math.min(left, bucket.bucketSize);
    while (!bucket.tryRemoveTokens(part))
      await sleep(Math.max(1, bucket.getWaitTime(part)), undefined, { signal });
  }
}

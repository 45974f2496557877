import { DmoermError } from '@dmoerm/core';
import { DelegateBackoff, handleWhen, retry } from 'cockatiel';
import { isRetryable } from './endpoint-error';

/** How failed tries are made again. */
export interface RetryOptions {
  /** Tries in all. */
  readonly tries: number;
  /** Bound of the first wait, milliseconds; it doubles with every try. */
  readonly firstMs: number;
  /** Bound of the longest wait, milliseconds. */
  readonly longestMs: number;
}

/** Eight tries, full jitter between 1 and 60 s. */
export const RETRY: RetryOptions = { tries: 8, firstMs: 1_000, longestMs: 60_000 };

/**
 * The wait before try `attempt + 1`, milliseconds: anything up to the bound of that attempt (full jitter, so that clients that failed
 * together do not come back together), and never less than the endpoint asked for.
 */
export function retryDelay(
  error: unknown,
  attempt: number,
  { firstMs, longestMs }: RetryOptions,
  random: () => number = Math.random,
): number {
  const bound = Math.min(longestMs, firstMs * 2 ** (attempt - 1));
  const asked = error instanceof DmoermError ? (error.retryAfterMs ?? 0) : 0;
  return Math.max(asked, random() * bound);
}

/** Runs `work(try)` until it succeeds, fails for good, or has had its tries; a wait does not keep the process alive. */
export function createRetry(
  options: RetryOptions,
  onFailedTry: (error: unknown) => void,
): <T>(work: (attempt: number) => Promise<T>) => Promise<T> {
  const policy = retry(handleWhen(isRetryable), {
    maxAttempts: options.tries - 1,
    backoff: new DelegateBackoff<{ attempt: number; result: unknown }>(({ attempt, result }) =>
      retryDelay((result as { error?: unknown }).error, attempt, options),
    ),
  }).dangerouslyUnref();
  policy.onFailure(({ reason }) => onFailedTry('error' in reason ? reason.error : undefined));
  return (work) => policy.execute(({ attempt }) => work(attempt + 1));
}

import { DmoermError } from '@dmoerm/core';
import { fromNativeError } from './errors';
import type { NativeCancellable } from './native';

/** Calls the addon; what it rejects with becomes a DmoermError. */
export async function guard<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fromNativeError(error);
  }
}

/** Begins work of the addon that `signal` ends. @throws DmoermError CANCELLED, and what the addon rejects with. */
export async function cancellable<T>(
  begin: () => NativeCancellable<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal?.aborted)
    throw new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'the call was cancelled' });
  return guard(async () => {
    const { promise, cancel } = begin();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await promise;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  });
}

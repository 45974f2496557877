import { DmoermError } from '@dmoerm/core';

/** How long a caller without another replica should wait: another one is usually up by then. */
const RETRY_AFTER_MS = 1_000;

/** The answer to requests that reach a server which is about to stop. */
export function drainingError(): DmoermError {
  return new DmoermError({
    code: 'UNAVAILABLE',
    reason: 'DRAINING',
    message: 'this replica is shutting down; send the request to another one',
    retryAfterMs: RETRY_AFTER_MS,
  });
}

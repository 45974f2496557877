import { DmoermError } from '@dmoerm/core';
import { logger } from '@dmoerm/telemetry';
import type { CallContext } from './call-context';
import { toFailure } from './service-error';
import type { FailureStatus } from './service-error';

/** The status for what a handler threw; whatever nobody foresaw is logged, for the caller is told nothing of it. */
export function failure(error: unknown, context: CallContext, path: string): FailureStatus {
  const known = DmoermError.from(error);
  if (known.reason === 'UNEXPECTED' && !context.signal.aborted) {
    logger.error(
      { err: error, method: path.slice(1), request_id: context.requestId },
      'a handler failed unexpectedly',
    );
  }
  return toFailure(known, context.requestId);
}

import type { Code, DmoermError } from '@dmoerm/core';
import { toErrorRecord } from '@dmoerm/client';
import type { Answer } from './answer';

/** HTTP statuses of our error model. */
const STATUSES: Readonly<Record<Code, number>> = {
  CANCELLED: 499,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 409,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  UNAUTHENTICATED: 401,
};
/** Reasons for which HTTP has a status of its own. */
const BY_REASON: Readonly<Record<string, number>> = {
  MESSAGE_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
};
/** For causes that name no time. */
const DEFAULT_RETRY_MS = 1_000;

/** Whether the error passes with time: the same request may succeed later. */
export function isTransient({ code, reason }: DmoermError): boolean {
  if (code === 'RESOURCE_EXHAUSTED') return reason !== 'MESSAGE_TOO_LARGE';
  return code === 'UNAVAILABLE' || code === 'DEADLINE_EXCEEDED' || code === 'ABORTED' || code === 'CANCELLED';
}

/**
 * The answer for an error.
 * @param forTrainers they tell two kinds of failure apart: those that pass (503) and those that do not.
 */
export function toFailure(error: DmoermError, requestId: string, forTrainers: boolean): Answer {
  const own = BY_REASON[error.reason] ?? STATUSES[error.code];
  const status = forTrainers && isTransient(error) ? STATUSES.UNAVAILABLE : own;
  const retryMs = status === 429 || status === 503 ? (error.retryAfterMs ?? DEFAULT_RETRY_MS) : null;
  return {
    status,
    headers: {
      ...(retryMs !== null && { 'retry-after': `${Math.max(1, Math.ceil(retryMs / 1e3))}` }),
      ...(status === 401 && { 'www-authenticate': 'Bearer realm="dmoerm"' }),
    },
    text: JSON.stringify({ error: { ...shown(error, requestId), request_id: requestId } }),
  };
}

/** The answer to a trainer whose item has an error: no reward, and none later on (422), unless it passes (503) or is our fault (500). */
export function toItemFailure(error: DmoermError, requestId: string): Answer {
  const failure = toFailure(error, requestId, true);
  const ours = STATUSES[error.code] === 500 && error.reason !== 'NON_FINITE';
  return isTransient(error) || ours ? failure : { ...failure, status: 422 };
}

/** The text of an error that nobody foresaw may quote a prompt. */
function shown(error: DmoermError, requestId: string): object {
  const record = { ...toErrorRecord(error), retry_after_ms: error.retryAfterMs };
  return error.reason === 'UNEXPECTED'
    ? { ...record, message: `internal error; the log of request ${requestId} says more` }
    : record;
}

import { DmoermError, type Code } from '@dmoerm/core';

const REFUSED = [
  'INVALID_ARGUMENT',
  'the endpoint refuses the request; see the audit file for what it says',
] as const;

const STATUS: Readonly<Record<number, readonly [Code, string]>> = {
  400: REFUSED,
  401: ['UNAUTHENTICATED', 'the endpoint does not accept the key; set OPENAI_API_KEY'],
  403: ['PERMISSION_DENIED', 'the key may not use this model; choose another with --model, or another key'],
  404: ['NOT_FOUND', 'the endpoint knows no such address or model; check --url (it ends in /v1) and --model'],
  408: ['DEADLINE_EXCEEDED', 'the endpoint ran out of time'],
  409: ['ABORTED', 'the endpoint reports a conflict'],
  429: ['RESOURCE_EXHAUSTED', 'the endpoint asks for fewer requests; see --rpm, --tpm and --concurrency'],
};

/** What was tried again without luck may work later; what is wrong with the request stays wrong. */
const RETRIED: readonly Code[] = ['RESOURCE_EXHAUSTED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'ABORTED'];

/** Longest wait that an endpoint may ask for, milliseconds; beyond it the run stops. */
const LONGEST_WAIT_MS = 600_000;

/** Whether a try that failed with `error` is made again. */
export function isRetryable(error: unknown): boolean {
  return (
    error instanceof DmoermError &&
    error.metadata['retry'] !== 'no' &&
    RETRIED.includes(error.code) &&
    (error.retryAfterMs ?? 0) <= LONGEST_WAIT_MS
  );
}

/** An error answer as an error; `metadata.body` has what the endpoint said, for the user's own files only. */
export function toStatusError(status: number, headers: Headers, body: string): DmoermError {
  const [code, message] =
    STATUS[status] ??
    (status >= 500
      ? (['UNAVAILABLE', 'the endpoint has an error of its own'] as const)
      : status >= 300 && status < 400
        ? (['FAILED_PRECONDITION', 'the endpoint redirects; give its own address with --url'] as const)
        : REFUSED);
  const retryAfterMs = readRetryAfter(headers, Date.now());
  const long = retryAfterMs !== null && retryAfterMs > LONGEST_WAIT_MS;
  return new DmoermError({
    code,
    reason: `HTTP_${status}`,
    message: `HTTP ${status}: ${message}${long ? `; it asks to wait ${Math.round(retryAfterMs / 1000)} s: run again then` : ''}`,
    field: 'endpoint',
    metadata: { status: String(status), body },
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
  });
}

/** A failure to get any answer. `metadata.sent`: whether the request may have been worked on, and charged. */
export function unreachable(error: unknown, url: string, timeoutMs: number): DmoermError {
  const timedOut = error instanceof Error && error.name === 'TimeoutError';
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const never = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT'];
  return new DmoermError({
    code: timedOut ? 'DEADLINE_EXCEEDED' : 'UNAVAILABLE',
    reason: timedOut ? 'ENDPOINT_TIMEOUT' : 'ENDPOINT_UNREACHABLE',
    field: 'endpoint',
    message: timedOut
      ? `${url} gave no answer within ${timeoutMs / 1000} s`
      : `${url} cannot be reached${code === '' ? '' : ` (${code})`}; check --url and that the endpoint runs`,
    metadata: { sent: never.includes(code) ? 'no' : 'yes' },
    cause: error,
  });
}

/** `Retry-After` (seconds or a date) or `retry-after-ms`, in milliseconds from `now`; null if there is none that can be read. */
export function readRetryAfter(headers: Headers, now: number): number | null {
  const exact = headers.get('retry-after-ms')?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(exact)) return Number(exact);
  const value = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000;
  // Date.parse takes many things for dates ("-5", "1"); an HTTP date has a comma.
  const date = value.includes(',') ? Date.parse(value) : NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

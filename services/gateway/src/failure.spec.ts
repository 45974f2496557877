import { CODES, DmoermError } from '@dmoerm/core';
import type { Code } from '@dmoerm/core';
import { isTransient, toFailure, toItemFailure } from './failure';

const error = (code: Code, reason: string = code, retryAfterMs?: number): DmoermError =>
  new DmoermError({
    code,
    reason,
    message: 'what is wrong',
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });

describe('toFailure', () => {
  it.each<[Code, string, number]>([
    ['INVALID_ARGUMENT', 'TOO_LONG', 400],
    ['INVALID_ARGUMENT', 'UNSUPPORTED_MEDIA_TYPE', 415],
    ['UNAUTHENTICATED', 'UNAUTHENTICATED', 401],
    ['PERMISSION_DENIED', 'PERMISSION_DENIED', 403],
    ['NOT_FOUND', 'UNKNOWN_TASK', 404],
    ['FAILED_PRECONDITION', 'REVISION_NOT_ACTIVE', 409],
    ['RESOURCE_EXHAUSTED', 'QUEUE_FULL', 429],
    ['RESOURCE_EXHAUSTED', 'MESSAGE_TOO_LARGE', 413],
    ['UNAVAILABLE', 'DRAINING', 503],
    ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED', 504],
    ['INTERNAL', 'BAD_ANSWER', 500],
  ])('%s %s is %d', (code, reason, status) => {
    expect(toFailure(error(code, reason), 'r', false).status).toBe(status);
  });

  it.each(Object.keys(CODES) as Code[])('%s: who may come back is told when, and nobody else', (code) => {
    const { status, headers, text } = toFailure(error(code, code, 2_100), 'r', false);
    expect(headers['retry-after']).toBe(status === 429 || status === 503 ? '3' : undefined);
    expect(JSON.parse(text)).toMatchObject({ error: { code, retry_after_ms: 2100, request_id: 'r' } });
  });

  it('does not tell what nobody foresaw', () => {
    const { text } = toFailure(DmoermError.from(new Error('a prompt')), 'r', false);
    expect(text).not.toContain('a prompt');
  });
});

describe('for trainers', () => {
  it.each(Object.keys(CODES) as Code[])(
    '%s of an item: 503 if it passes, else 422, or 500 if it is our fault',
    (code) => {
      const one = error(code);
      const ours = ['UNKNOWN', 'INTERNAL', 'DATA_LOSS'].includes(code);
      expect(toItemFailure(one, 'r').status).toBe(isTransient(one) ? 503 : ours ? 500 : 422);
    },
  );

  it('a value that is not finite is an item without a reward', () => {
    expect(toItemFailure(error('INTERNAL', 'NON_FINITE'), 'r').status).toBe(422);
  });
});

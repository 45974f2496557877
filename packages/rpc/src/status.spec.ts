import { CODES, DmoermError } from '@dmoerm/core';
import type { Code } from '@dmoerm/core';
import { googleRpc } from '@dmoerm/protos';
import {
  check,
  constantFrom,
  dictionary,
  integer,
  option,
  property,
  record,
  string,
  stringMatching,
} from 'fast-check';
import { fromStatus, toStatus } from './status';

const CODE_NAMES = Object.keys(CODES) as Code[];

const encoded = (error: DmoermError, id?: string): Uint8Array =>
  googleRpc.Status.encode(toStatus(error, id)).finish();
const overTheWire = (error: DmoermError): DmoermError => fromStatus(googleRpc.Status.decode(encoded(error)));

describe('toStatus and fromStatus', () => {
  it('keep code, reason, message, field, metadata and retry time', () => {
    const errors = record({
      code: constantFrom(...CODE_NAMES),
      reason: stringMatching(/^[A-Z][A-Z_]{0,61}[A-Z]$/),
      message: string({ maxLength: 100, unit: 'grapheme' }),
      field: option(string({ minLength: 1, maxLength: 50 }), { nil: undefined }),
      metadata: dictionary(stringMatching(/^[a-z]{1,10}$/), string({ maxLength: 20 }), { maxKeys: 4 }),
      retryAfterMs: option(integer({ min: 0, max: 100_000 }), { nil: undefined }),
    });
    const result = check(
      property(errors, ({ field, retryAfterMs, ...rest }) => {
        const error = new DmoermError({
          ...rest,
          ...(field && { field }),
          ...(retryAfterMs !== undefined && { retryAfterMs }),
        });
        const { code, reason, message, metadata } = error;
        expect(overTheWire(error)).toMatchObject({ code, reason, message, metadata: { ...metadata } });
        expect(overTheWire(error)).toMatchObject({ field: error.field, retryAfterMs: error.retryAfterMs });
      }),
    );
    expect(result.errorInstance ?? null).toBeNull();
  });

  it('stay below 4 KiB and well-formed, whatever the size and text of the error', () => {
    const big = string({ maxLength: 5_000, unit: 'binary' });
    const result = check(
      property(big, big, big, string({ maxLength: 128 }), (message, field, value, id) => {
        const error = new DmoermError({
          code: 'INVALID_ARGUMENT',
          reason: 'X',
          message,
          field,
          metadata: { value },
        });
        expect(encoded(error, id).length).toBeLessThanOrEqual(4096);
        expect(() => encodeURI(toStatus(error).message)).not.toThrow();
      }),
    );
    expect(result.errorInstance ?? null).toBeNull();
    expect(() =>
      encodeURI(toStatus(new DmoermError({ code: 'INTERNAL', reason: 'X', message: 'a\ud800' })).message),
    ).not.toThrow();
  });

  it('hide the text of an error that nobody foresaw, and only that', () => {
    const unforeseen = DmoermError.from(new Error('the prompt was: secret'));
    expect(JSON.stringify(toStatus(unforeseen, 'r-1'))).not.toContain('secret');
    expect(toStatus(unforeseen, 'r-1').message).toContain('r-1');
    const foreseen = new DmoermError({
      code: 'INTERNAL',
      reason: 'NON_FINITE',
      message: 'the reward is not finite',
    });
    expect(toStatus(foreseen).message).toBe('the reward is not finite');
  });

  it('read statuses of services that are not ours', () => {
    expect(fromStatus({ code: 14, message: 'gone', details: [] })).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'UNAVAILABLE',
    });
    expect(fromStatus({ code: 99, message: '', details: [] }).code).toBe('UNKNOWN');
  });
});

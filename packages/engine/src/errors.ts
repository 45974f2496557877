import { CODES, DmoermError, type Code } from '@dmoerm/core';

/** Converts what the addon throws (an Error with `code`, `reason`, `field`) to a `DmoermError`. */
export function fromNativeError(error: unknown): DmoermError {
  if (error instanceof DmoermError) return error;
  const native = error as { code?: unknown; reason?: unknown; field?: unknown; message?: unknown };
  if (typeof native.code === 'string' && native.code in CODES && typeof native.reason === 'string')
    return new DmoermError({
      code: native.code as Code,
      reason: native.reason,
      message: String(native.message),
      ...(typeof native.field === 'string' && native.field !== '' ? { field: native.field } : {}),
      cause: error,
    });
  return DmoermError.from(error);
}

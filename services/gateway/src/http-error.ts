import { DmoermError, invalidArgument } from '@dmoerm/core';

/** What the HTTP framework refuses, in our words; its own may quote the body. Anything else that is no DmoermError is a bug. */
export function fromHttpError(error: unknown): DmoermError {
  if (error instanceof DmoermError) return error;
  const { code, statusCode } = error as { readonly code?: unknown; readonly statusCode?: unknown };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new DmoermError({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'MESSAGE_TOO_LARGE',
      message: 'the body is over the limit; send fewer items at once',
    });
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return invalidArgument(
      'content-type',
      'UNSUPPORTED_MEDIA_TYPE',
      'the body must be JSON: content-type: application/json',
    );
  if (statusCode === 400) return invalidArgument('body', 'BAD_JSON', 'the body is not valid JSON');
  return DmoermError.from(error);
}

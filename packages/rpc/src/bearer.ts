import { DmoermError } from '@dmoerm/core';
import { InterceptingCall } from '@grpc/grpc-js';
import type { Interceptor } from '@grpc/grpc-js';
import { AUTHORIZATION_KEY } from './authorise';
import type { ClientTls } from './credentials';
import { isLoopback } from './loopback-address';

/** Adds the token to every call. @throws DmoermError INVALID_ARGUMENT, reason TOKEN_IN_CLEAR. */
export function bearer(token: string, target: string, tls: ClientTls | null): Interceptor {
  if (tls === null && !isLoopback(target))
    throw new DmoermError({
      code: 'INVALID_ARGUMENT',
      reason: 'TOKEN_IN_CLEAR',
      message: `the token would travel to ${target} in plaintext; give the authority of the server's certificate (CA) as well`,
      metadata: { target },
    });
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start: (metadata, listener, next) => {
        metadata.set(AUTHORIZATION_KEY, `Bearer ${token}`);
        next(metadata, listener);
      },
    });
}

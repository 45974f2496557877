import { DmoermError } from '@dmoerm/core';
import type { Metadata, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import type { Access, Role } from './access';
import { setIdentity } from './call-context';

/** Metadata key of an API token. */
export const AUTHORIZATION_KEY = 'authorization';

/**
 * Finds out who makes a call and whether it may; notes the identity for the handler. The token goes no further than here.
 * @returns why not, or null.
 */
export function authorise(
  access: Access,
  roles: readonly Role[],
  call: ServerInterceptingCallInterface,
  metadata: Metadata,
): DmoermError | null {
  const [authorization] = metadata.get(AUTHORIZATION_KEY);
  metadata.remove(AUTHORIZATION_KEY);
  const identity = access.identify({
    subjects: call.getAuthContext().sslPeerCertificate?.subjectaltname,
    authorization: authorization?.toString(),
  });
  if (identity === null)
    return new DmoermError({
      code: 'UNAUTHENTICATED',
      reason: 'UNAUTHENTICATED',
      message: 'nothing known here proves who calls; give a valid API token or a client certificate',
    });
  if (!roles.includes(identity.role))
    return new DmoermError({
      code: 'PERMISSION_DENIED',
      reason: 'PERMISSION_DENIED',
      message: `this method is for ${roles.join(' and ')} identities; ${identity.name} is a ${identity.role}`,
      metadata: { role: identity.role },
    });
  setIdentity(metadata, identity);
  return null;
}

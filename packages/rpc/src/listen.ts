import { DmoermError } from '@dmoerm/core';
import type { Server, ServerCredentials } from '@grpc/grpc-js';

/**
 * Binds a server to `host:port` (port 0: a free one).
 * @returns the address with the real port.
 * @throws DmoermError UNAVAILABLE, reason ADDRESS_IN_USE; INVALID_ARGUMENT, reason BAD_ADDRESS.
 */
export async function listen(
  server: Server,
  address: string,
  credentials: ServerCredentials,
): Promise<string> {
  const [, host] = /^(.+):\d{1,5}$/.exec(address) ?? [];
  if (host === undefined) throw badAddress(address);
  return new Promise((resolve, reject) => {
    const bound = (cause: Error | null, port: number): void => {
      if (cause === null) resolve(`${host}:${port}`);
      else reject(/EADDRINUSE/.test(cause.message) ? inUse(address, cause) : badAddress(address, cause));
    };
    try {
      server.bindAsync(address, credentials, bound);
    } catch (cause) {
      reject(badAddress(address, cause));
    }
  });
}

function inUse(address: string, cause: unknown): DmoermError {
  return new DmoermError({
    code: 'UNAVAILABLE',
    reason: 'ADDRESS_IN_USE',
    message: `address ${address} is in use; stop the process that listens there, or choose another port (0: a free one)`,
    metadata: { address },
    cause,
  });
}

function badAddress(address: string, cause?: unknown): DmoermError {
  return new DmoermError({
    code: 'INVALID_ARGUMENT',
    reason: 'BAD_ADDRESS',
    message: `cannot listen on ${address}; use host:port with an address of this machine, e.g. 127.0.0.1:50051`,
    metadata: { address },
    cause,
  });
}

import { Server, ServerCredentials } from '@grpc/grpc-js';
import { guardConnections } from './connections';
import type { Health } from './health';
import { listen } from './listen';

/** A health check is a few bytes; its callers come every few seconds. */
const LIMITS = {
  'grpc.max_receive_message_length': 1024,
  'grpc.max_concurrent_streams': 16,
  'grpc.max_connection_idle_ms': 60_000,
  'grpc.enable_channelz': 0,
};
const FIRST_CALL_MS = 8_000;
const MAX_AGE_MS = 180_000;
const MAX_CONNECTIONS = 256;

/**
 * Serves the health of a server, and nothing else, in plaintext at an address of its own.
 * @throws DmoermError UNAVAILABLE, reason ADDRESS_IN_USE; INVALID_ARGUMENT, reason BAD_ADDRESS.
 */
export async function serveHealth(
  health: Health,
  address: string,
): Promise<{ readonly address: string; close(): void }> {
  const server = new Server(LIMITS);
  health.implementation.addToServer(server);
  const bound = await listen(server, address, ServerCredentials.createInsecure());
  guardConnections(server, {
    firstCallMs: FIRST_CALL_MS,
    maxConnections: MAX_CONNECTIONS,
    maxAgeMs: MAX_AGE_MS,
  });
  return {
    address: bound,
    close: () => {
      server.drain(bound, 0);
      server.forceShutdown();
    },
  };
}

import type { Server } from '@grpc/grpc-js';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Health } from './health';
import type { InFlight } from './in-flight';

/** How long a server may take to stop. */
export interface DrainOptions {
  /** Time for callers and probes to notice that it is not ready, while it still answers everything, milliseconds. */
  readonly lameDuckMs: number;
  /** Time from the start of the drain to the end of the process, milliseconds. */
  readonly graceMs: number;
}

/** Kept back from the grace, so that the process ends itself before it is killed. */
const RESERVE_MS = 2_000;
const SHUTDOWN_MS = 1_000;

/** The parts of a server that a drain moves. */
export interface Draining extends DrainOptions {
  readonly server: Server;
  /** host:port that it listens on. */
  readonly address: string;
  readonly health: Health;
  readonly inFlight: InFlight;
  /** Makes the server refuse new calls with UNAVAILABLE. */
  refuse(): void;
}

/**
 * Stops a server without losing a call: not ready, keep answering, refuse new calls on connections that stay open, wait
 * for those in flight (those that outlast the grace get UNAVAILABLE), close. Closing first would not do: grpc-js clients with keepalive drop the calls in flight when
 * the server announces that it closes (grpc/grpc-node#3068).
 */
export async function drain(parts: Draining): Promise<void> {
  const { server, address, health, inFlight, refuse, lameDuckMs, graceMs } = parts;
  const end = Date.now() + graceMs - RESERVE_MS;
  health.stop();
  await sleep(lameDuckMs);
  refuse();
  await inFlight.whenIdle(Math.max(0, end - Date.now()));
  inFlight.abandon();
  // Closes the connections, by force those that are open after the time; `forceShutdown` would overlook them, for
  // grpc-js lists connections for it only while channelz is on.
  server.drain(address, SHUTDOWN_MS);
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
}

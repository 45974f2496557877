import type { Server } from '@grpc/grpc-js';
import { constants } from 'node:http2';
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';

/** What a connection is held against, beyond what grpc-js has options for. */
export interface ConnectionLimits {
  /** Time from connecting to the first call, TLS included, milliseconds. */
  readonly firstCallMs: number;
  /** Connections at once; one more is closed before it costs anything but its handshake with the system. */
  readonly maxConnections: number;
  /** Age after which a connection is closed at its first idle moment, +-10 %, milliseconds. */
  readonly maxAgeMs: number;
}

const PING_WINDOW_MS = 10_000;
/** Keepalive takes one ping in 10 s; clients that measure the bandwidth send some with every call. */
const PINGS_PER_WINDOW = 100;
const PINGS_PER_CALL = 4;
/** How long a peer may take to close its side. */
const LINGER_MS = 1_000;

/**
 * Closes connections that are too many, that make no call, that flood the server with pings, or that are old. Old ones, so that clients look
 * for new replicas; but only between two calls, for grpc-js clients with keepalive drop the calls in flight when a server
 * announces that it closes (grpc/grpc-node#3068), so grpc-js's own limit of age would lose calls.
 */
export function guardConnections(server: Server, limits: ConnectionLimits): void {
  for (const http2Server of http2Servers(server)) {
    // Connections that have made no call yet: how to close them, and when.
    const unused = new Map<string, { close: () => void; readonly timer: NodeJS.Timeout }>();
    const forget = (key: string): void => {
      clearTimeout(unused.get(key)?.timer);
      unused.delete(key);
    };
    http2Server.maxConnections = limits.maxConnections;
    http2Server.prependListener('connection', (socket: Socket) => {
      const key = peerOf(socket);
      const timer = setTimeout(() => unused.get(key)?.close(), limits.firstCallMs);
      unused.set(key, { close: () => socket.destroy(), timer });
      socket.once('close', () => forget(key));
    });
    http2Server.on('session', (session) => {
      const key = peerOf(session.socket);
      const entry = unused.get(key);
      if (entry !== undefined) entry.close = () => close(session);
      session.once('stream', () => forget(key));
      limitPings(session);
      retire(session, limits.maxAgeMs * (0.9 + Math.random() / 5));
    });
  }
}

/** grpc-js keeps its HTTP/2 servers to itself, and has no hook for a connection. */
function http2Servers(server: Server): Iterable<Http2Server> {
  return (
    server as unknown as { readonly http2Servers: ReadonlyMap<Http2Server, unknown> }
  ).http2Servers.keys();
}

/** Under TLS the session's socket is another object than the connection's; the peer is the same. */
function peerOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress} ${remotePort}`;
}

/** Announces the end, so that a call sent at this moment is made again elsewhere, and does not wait for the peer's. */
function close(session: ServerHttp2Session): void {
  if (session.closed) return;
  session.close();
  setTimeout(() => session.destroy(), LINGER_MS).unref();
}

function limitPings(session: ServerHttp2Session): void {
  let windowEnd = 0;
  let left = 0;
  session.on('stream', () => (left += PINGS_PER_CALL));
  session.on('ping', () => {
    const now = performance.now();
    if (now >= windowEnd) {
      windowEnd = now + PING_WINDOW_MS;
      left = Math.max(left, PINGS_PER_WINDOW);
    }
    left -= 1;
    if (left >= 0 || session.destroyed) return;
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from('too_many_pings'));
    session.destroy();
  });
}

function retire(session: ServerHttp2Session, ageMs: number): void {
  let streams = 0;
  let old = false;
  const closeIfIdle = (): void => {
    if (old && streams === 0) close(session);
  };
  session.on('stream', (stream: ServerHttp2Stream) => {
    streams += 1;
    stream.once('close', () => {
      streams -= 1;
      closeIfIdle();
    });
  });
  const timer = setTimeout(() => {
    old = true;
    closeIfIdle();
  }, ageMs).unref();
  session.once('close', () => clearTimeout(timer));
}

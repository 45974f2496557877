import { watchFiles } from '@dmoerm/config';
import { invalidArgument } from '@dmoerm/core';
import { logger } from '@dmoerm/telemetry';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { GatewayConfig } from './config';

/** Longer than load balancers keep idle connections: who closes first loses no request. */
const KEEP_ALIVE_MS = 75_000;
/** How often Node looks for requests that take too long to arrive. */
const CHECK_MS = 1_000;
/** Time for a caller to take an answer, milliseconds. */
const ANSWER_MS = 60_000;
const MAX_HEADER_BYTES = 16 << 10;

/** A server and what stops it from looking at its certificates. */
export interface HttpServer {
  readonly server: Server;
  readonly unwatch: () => void;
}

/**
 * The HTTP server, with TLS if there is a certificate, and its limits: time for a request to arrive and for an answer to be taken,
 * connections, bytes of headers. Certificates are read again when they change.
 * @throws DmoermError INVALID_ARGUMENT, reason `BAD_CERTIFICATE`.
 */
export function createHttpServer(config: GatewayConfig, handler: RequestListener): HttpServer {
  const limits = {
    requestTimeout: config.bodyTimeoutMs,
    headersTimeout: config.bodyTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  };
  const files = [config.tlsCert, config.tlsKey, config.tlsClientCa].filter((path) => path !== null);
  if (config.tlsCert === null) return bounded(createServer(limits, handler), config, () => undefined);
  const server = createSecureServer({ ...limits, ...readTls(config) }, handler);
  const unwatch = watchFiles(files, () => {
    try {
      server.setSecureContext(readTls(config));
    } catch (err) {
      logger.warn({ err }, 'certificates stay as they were');
    }
  });
  return bounded(server, config, unwatch);
}

function bounded(server: Server, config: GatewayConfig, unwatch: () => void): HttpServer {
  server.maxConnections = config.maxConnections;
  // Of silence: a caller waits silently for as long as its request may take.
  server.setTimeout(config.deadlineMs + ANSWER_MS);
  return { server, unwatch };
}

/** Callers without a certificate may still have a token: nobody is refused in the handshake. */
function readTls({ tlsCert, tlsKey, tlsClientCa }: GatewayConfig) {
  try {
    return {
      ...(tlsCert !== null && { cert: readFileSync(tlsCert) }),
      ...(tlsKey !== null && { key: readFileSync(tlsKey) }),
      ...(tlsClientCa !== null && { ca: readFileSync(tlsClientCa), requestCert: true }),
      rejectUnauthorized: false,
    };
  } catch {
    throw invalidArgument(
      '--tls-cert',
      'BAD_CERTIFICATE',
      `cannot read ${[tlsCert, tlsKey, tlsClientCa].filter((path) => path !== null).join(', ')}; they must be PEM files`,
    );
  }
}

import { metrics } from '@dmoerm/telemetry';
import { Server, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { ServerOptions as GrpcOptions, UntypedServiceImplementation } from '@grpc/grpc-js';
import { setMaxListeners } from 'node:events';
import type { Access } from './access';
import type { ServiceBinding } from './bind-service';
import { guardConnections } from './connections';
import { serverCredentials } from './credentials';
import type { ServerTls } from './credentials';
import { serviceName, tolerant } from './definition';
import type { AnyDefinition } from './definition';
import { drain } from './drain';
import type { DrainOptions } from './drain';
import { guard } from './guard';
import { Health } from './health';
import { serveHealth } from './health-port';
import { InFlight } from './in-flight';
import { listen } from './listen';
import { createReflection } from './reflection';

/** What a caller may do to a server. */
export interface ServerLimits {
  /** Bytes of one request, after decompression. Over it: RESOURCE_EXHAUSTED, reason MESSAGE_TOO_LARGE. */
  readonly maxMessageBytes: number;
  /** Calls in flight on one connection. */
  readonly maxConcurrentStreams: number;
  /** Time for a unary request, or a message of a stream, to arrive, milliseconds. Over it: DEADLINE_EXCEEDED, reason BODY_TIMEOUT. */
  readonly bodyTimeoutMs: number;
  /** Time for the caller to take a message, milliseconds; then the stream is closed. */
  readonly answerTimeoutMs: number;
  /** Connections at once; more are closed at once. They bound memory and file descriptors. */
  readonly maxConnections: number;
  /** Idle connections are closed after this time, milliseconds. */
  readonly maxConnectionIdleMs: number;
  /** A new connection that makes no call is closed after this time, milliseconds. */
  readonly firstCallMs: number;
  /** Connections older than this, +-10 %, are closed at their first idle moment, milliseconds. */
  readonly maxConnectionAgeMs: number;
}

/** Limits that fit most services. */
export const DEFAULT_LIMITS: ServerLimits = {
  maxMessageBytes: 8 << 20,
  maxConcurrentStreams: 1_000,
  bodyTimeoutMs: 8_000,
  answerTimeoutMs: 60_000,
  maxConnections: 4_096,
  maxConnectionIdleMs: 300_000,
  firstCallMs: 8_000,
  maxConnectionAgeMs: 180_000,
};

/** What to serve and how. */
export interface RpcServerOptions {
  /** host:port; port 0 takes a free one. */
  readonly address: string;
  readonly services: readonly ServiceBinding[];
  /** Names for the health service besides ``, `liveness` and `readiness`, e.g. the tasks. */
  readonly healthServices: readonly string[];
  /** Whether to offer server reflection. */
  readonly reflection: boolean;
  readonly limits: ServerLimits;
  readonly drain: DrainOptions;
  /** Default plaintext. */
  readonly tls?: ServerTls | null;
  /** Default: whoever can connect may call everything. */
  readonly access?: Access | null;
  /** host:port for the health service alone, in plaintext: probes of Kubernetes speak no TLS. Default none. */
  readonly healthAddress?: string | null;
}

/** A running server. */
export interface RpcServer {
  /** host:port that it listens on. */
  readonly address: string;
  /** host:port of the health service alone, or null. */
  readonly healthAddress: string | null;
  /** Sets the health of `readiness` or of one of the health services; all but `liveness` start as not serving. */
  setServing(service: string, serving: boolean): void;
  /** Stops without losing a call, see `drain`; later calls wait for the same end. */
  drain(): Promise<void>;
}

/** HTTP/2 buffers of one connection, megabytes: what a stalled reader may hold. */
const MAX_SESSION_MEMORY_MB = 64;
/** A caller that vanished without a word is noticed within both of these. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

/**
 * Starts a gRPC server with health, optional reflection, TLS, identities, limits, the error model, metrics and spans.
 * @throws DmoermError UNAVAILABLE, reason ADDRESS_IN_USE; INVALID_ARGUMENT, reason BAD_ADDRESS or BAD_CERTIFICATE.
 */
export async function startServer(options: RpcServerOptions): Promise<RpcServer> {
  const { services, limits, tls = null, access = null, healthAddress = null } = options;
  // What grpc-js would print on stderr, we throw or count.
  setLogVerbosity(logVerbosity.NONE);
  const draining = new AbortController();
  // Every stream listens to it.
  setMaxListeners(0, draining.signal);
  const inFlight = new InFlight();
  const health = new Health(options.healthServices);
  const definitions = services.map(({ definition }) => definition);
  const methods = new Map(
    services.flatMap(({ definition, roles }) =>
      Object.values(definition).map(({ path }) => [path, roles] as const),
    ),
  );
  const server = new Server({
    ...grpcOptions(limits),
    interceptors: [guard({ ...limits, draining: draining.signal, inFlight, methods, access })],
  });
  // Every definition goes through `tolerant`; grpc's own services register themselves through this stand-in.
  const addService = (definition: AnyDefinition, implementation: UntypedServiceImplementation): void =>
    server.addService(tolerant(definition), implementation);
  const registrar = { addService } as unknown as Server;
  for (const { definition, implement } of services) addService(definition, implement(draining.signal));
  health.implementation.addToServer(registrar);
  if (options.reflection) {
    createReflection(definitions.map(serviceName)).addToServer(registrar);
  }
  const address = await listen(server, options.address, serverCredentials(tls));
  const { firstCallMs, maxConnections, maxConnectionAgeMs: maxAgeMs } = limits;
  guardConnections(server, { firstCallMs, maxConnections, maxAgeMs });
  const healthPort = healthAddress === null ? null : await serveHealth(health, healthAddress);
  let stopped: Promise<void> | null = null;
  return {
    address,
    healthAddress: healthPort?.address ?? null,
    setServing: (service, serving) => {
      if (stopped === null) health.set(service, serving);
    },
    drain: () => {
      metrics.draining.set(1);
      return (stopped ??= drain({
        server,
        address,
        health,
        inFlight,
        refuse: () => draining.abort(),
        ...options.drain,
      }).then(() => healthPort?.close()));
    },
  };
}

function grpcOptions(limits: ServerLimits): GrpcOptions {
  return {
    'grpc.max_receive_message_length': limits.maxMessageBytes,
    'grpc.max_concurrent_streams': limits.maxConcurrentStreams,
    'grpc.max_connection_idle_ms': limits.maxConnectionIdleMs,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc-node.max_session_memory': MAX_SESSION_MEMORY_MB,
    // Its book-keeping grows with the number of connections ever made.
    'grpc.enable_channelz': 0,
  };
}

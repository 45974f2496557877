import { metrics } from '@dmoerm/telemetry';
import { Server, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { ServerOptions as GrpcOptions, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { ServiceBinding } from './bind-service';
import { serviceName, tolerant } from './definition';
import type { AnyDefinition } from './definition';
import { drain } from './drain';
import type { DrainOptions } from './drain';
import { guard } from './guard';
import { Health } from './health';
import { InFlight } from './in-flight';
import { listen } from './listen';
import { createReflection } from './reflection';

/** What a caller may do to a server. */
export interface ServerLimits {
  /** Bytes of one request, after decompression. Over it: RESOURCE_EXHAUSTED, reason MESSAGE_TOO_LARGE. */
  readonly maxMessageBytes: number;
  /** Calls in flight on one connection. */
  readonly maxConcurrentStreams: number;
  /** Time for a unary request to arrive, milliseconds. Over it: DEADLINE_EXCEEDED, reason BODY_TIMEOUT. */
  readonly bodyTimeoutMs: number;
  /** Idle connections are closed after this time, milliseconds. */
  readonly maxConnectionIdleMs: number;
}

/** Limits that fit most services. */
export const DEFAULT_LIMITS: ServerLimits = {
  maxMessageBytes: 8 << 20,
  maxConcurrentStreams: 1_000,
  bodyTimeoutMs: 10_000,
  maxConnectionIdleMs: 300_000,
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
}

/** A running server. */
export interface RpcServer {
  /** host:port that it listens on. */
  readonly address: string;
  /** Sets the health of `readiness` or of one of the health services; all but `liveness` start as not serving. */
  setServing(service: string, serving: boolean): void;
  /** Stops without losing a call, see `drain`; later calls wait for the same end. */
  drain(): Promise<void>;
}

/** HTTP/2 buffers of one connection, megabytes: what a stalled reader may hold. */
const MAX_SESSION_MEMORY_MB = 64;

/**
 * Starts a gRPC server with health, optional reflection, limits, the error model, metrics and spans.
 * @throws DmoermError UNAVAILABLE, reason ADDRESS_IN_USE; INVALID_ARGUMENT, reason BAD_ADDRESS.
 */
export async function startServer(options: RpcServerOptions): Promise<RpcServer> {
  const { services, limits } = options;
  // What grpc-js would print on stderr, we throw or count.
  setLogVerbosity(logVerbosity.NONE);
  const draining = new AbortController();
  const inFlight = new InFlight();
  const health = new Health(options.healthServices);
  const definitions = services.map(({ definition }) => definition);
  const paths = new Set(
    definitions.flatMap((definition) => Object.values(definition).map(({ path }) => path)),
  );
  const server = new Server({
    ...grpcOptions(limits),
    interceptors: [
      guard({ bodyTimeoutMs: limits.bodyTimeoutMs, draining: draining.signal, inFlight, paths }),
    ],
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
  const address = await listen(server, options.address);
  let stopped: Promise<void> | null = null;
  return {
    address,
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
      }));
    },
  };
}

function grpcOptions(limits: ServerLimits): GrpcOptions {
  return {
    'grpc.max_receive_message_length': limits.maxMessageBytes,
    'grpc.max_concurrent_streams': limits.maxConcurrentStreams,
    'grpc.max_connection_idle_ms': limits.maxConnectionIdleMs,
    'grpc-node.max_session_memory': MAX_SESSION_MEMORY_MB,
    // Its book-keeping grows with the number of connections ever made.
    'grpc.enable_channelz': 0,
  };
}

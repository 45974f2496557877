import { DEFAULT_LIMITS, startServer } from '@dmoerm/rpc';
import type { RpcServer, ServiceBinding } from '@dmoerm/rpc';
import { openAccess } from './access-file';
import { bindBundleService } from './bundle-service';
import type { Revisions } from './revisions';
import { checkSecurity, serverTls } from './security';
import type { SecurityConfig } from './security';

/** A service that can be started and stopped, in a process of its own or in a test. */
export interface Service {
  /** Loads the bundle and listens. @throws DmoermError that says what to repair. */
  start(): Promise<{ readonly address: string; readonly healthAddress: string | null }>;
  /** Resolves when the service is healthy, after `start`. */
  ready(): Promise<void>;
  /** Drains and frees everything. */
  stop(): Promise<void>;
}

/** Settings that a host needs, see `SERVICE_OPTIONS`. */
export interface HostConfig extends SecurityConfig {
  readonly bundle: string;
  readonly reflection: boolean;
  readonly healthListen: string | null;
  readonly maxConnections: number;
  readonly lameDuckMs: number;
  readonly graceMs: number;
}

/** What makes a service of its own. */
export interface HostParts<T extends AsyncDisposable> {
  readonly revisions: Revisions<T>;
  readonly bindings: readonly ServiceBinding[];
  /** Tasks of a revision, for the health service. */
  readonly taskNames: (value: T) => readonly string[];
  /** Largest request, bytes. */
  readonly maxMessageBytes: number;
  /** What must be there before the service calls itself healthy. */
  readonly peersReady?: () => Promise<void>;
  /** Frees what the service opened itself, after the drain. */
  readonly close?: () => Promise<void>;
}

/** A service of these parts: it loads its bundle, serves, reports its health per task, drains. */
export function createHost<T extends AsyncDisposable>(config: HostConfig, parts: HostParts<T>): Service {
  const { revisions } = parts;
  let server: RpcServer | null = null;
  let access: ReturnType<typeof openAccess> | null = null;
  let tasks: readonly string[] = [];

  const start: Service['start'] = async () => {
    checkSecurity(config);
    access = config.accessFile === null ? null : openAccess(config.accessFile);
    revisions.activate((await revisions.load(config.bundle)).revision);
    using lease = revisions.pin();
    tasks = parts.taskNames(lease.value);
    server = await startServer({
      address: config.listen,
      services: [...parts.bindings, bindBundleService(revisions)],
      healthServices: tasks,
      reflection: config.reflection,
      limits: {
        ...DEFAULT_LIMITS,
        maxConnections: config.maxConnections,
        maxMessageBytes: parts.maxMessageBytes,
      },
      drain: { lameDuckMs: config.lameDuckMs, graceMs: config.graceMs },
      tls: serverTls(config, access?.hasTokens ?? false),
      access,
      healthAddress: config.healthListen,
    });
    return { address: server.address, healthAddress: server.healthAddress };
  };

  return {
    start,
    ready: async () => {
      await parts.peersReady?.();
      for (const name of ['readiness', ...tasks]) server?.setServing(name, true);
    },
    stop: async () => {
      await server?.drain();
      access?.close();
      await revisions.close();
      await parts.close?.();
    },
  };
}

import { DmoermError } from '@dmoerm/core';
import { bundleV1 } from '@dmoerm/protos';
import { connect, type RpcClient } from '@dmoerm/rpc';
import type { ConnectionSecurity } from './router-connection';

/** Addresses of all services of a mesh, `host:port` each; several replicas of a service are several entries. */
export interface MeshAddresses {
  readonly routers: readonly string[];
  readonly experts: readonly string[];
  readonly aggregators: readonly string[];
}

/** How to reach a mesh as an operator. */
export interface MeshOptions {
  /** Longest time of one load, which reads and verifies the base, milliseconds. Default 10 minutes. */
  readonly timeoutMs?: number;
  /** How to reach the services of a kind; default plaintext. */
  readonly security?: (kind: keyof MeshAddresses) => ConnectionSecurity;
  /** Told of each step, e.g. `127.0.0.1:50052: loaded`. */
  readonly onStep?: (address: string, step: 'loaded' | 'activated' | 'unloaded') => void;
}

/** A service of the mesh. All failures of its calls begin with its address. */
export interface MeshService {
  readonly target: string;
  readonly list: () => Promise<readonly bundleV1.Bundle[]>;
  readonly load: (reference: string) => Promise<bundleV1.Bundle>;
  readonly activate: (revision: string) => Promise<void>;
  readonly unload: (revision: string) => Promise<void>;
}

const LOAD_TIMEOUT_MS = 600_000;

/**
 * Works with all services of a mesh, routers last: they pin a revision on every hop, so what they activate the others have.
 */
export async function withMesh<T>(
  addresses: MeshAddresses,
  { timeoutMs = LOAD_TIMEOUT_MS, security = () => ({}), onStep = () => undefined }: MeshOptions,
  work: (services: readonly MeshService[]) => Promise<T>,
): Promise<T> {
  const open = (['experts', 'aggregators', 'routers'] as const).flatMap((kind) =>
    addresses[kind].map((target) => ({
      target,
      client: connect(bundleV1.BundleServiceService, { target, timeoutMs, ...security(kind) }),
    })),
  );
  try {
    return await work(open.map(({ target, client }) => toService(target, client, onStep)));
  } finally {
    for (const { client } of open) client.close();
  }
}

function toService(
  target: string,
  { call }: RpcClient<typeof bundleV1.BundleServiceService>,
  onStep: NonNullable<MeshOptions['onStep']>,
): MeshService {
  return {
    target,
    list: async () => (await at(target, call.listBundles({}))).bundles,
    load: async (reference) => {
      const { bundle } = await at(target, call.loadBundle({ reference, pinned: false }));
      if (bundle === undefined) throw badAnswer(target);
      onStep(target, 'loaded');
      return bundle;
    },
    activate: async (revision) => {
      await at(target, call.activateBundle({ revision }));
      onStep(target, 'activated');
    },
    unload: async (revision) => {
      await at(target, call.unloadBundle({ revision }));
      onStep(target, 'unloaded');
    },
  };
}

/**
 * Activates a revision that all services hold. If one refuses, those that had activated it go back to what they served.
 * @param before the active revision of each service, by target; none: it served nothing.
 */
export async function activateEverywhere(
  services: readonly MeshService[],
  revision: string,
  before: ReadonlyMap<string, string | undefined>,
): Promise<void> {
  const done: MeshService[] = [];
  try {
    for (const service of services) {
      await service.activate(revision);
      done.push(service);
    }
  } catch (error) {
    // The routers first, as in every way back: what they ask for the others still hold.
    for (const service of done.reverse()) {
      const old = before.get(service.target);
      // The first error is the one to tell.
      if (old !== undefined) await service.activate(old).catch(() => undefined);
    }
    throw error;
  }
}

/** The active one of a service's bundles. */
export function activeOf(bundles: readonly bundleV1.Bundle[]): string | undefined {
  return bundles.find(({ state }) => state === bundleV1.Bundle_State.ACTIVE)?.revision;
}

/** Puts the service's address in front of what went wrong there. */
async function at<T>(target: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const { code, reason, field, message } = DmoermError.from(cause);
    throw new DmoermError({
      code,
      reason,
      message: `${target}: ${message}`,
      cause,
      ...(field === null ? {} : { field }),
    });
  }
}

function badAnswer(target: string): DmoermError {
  return new DmoermError({
    code: 'INTERNAL',
    reason: 'BAD_ANSWER',
    message: `${target}: loaded a bundle but does not say which`,
  });
}

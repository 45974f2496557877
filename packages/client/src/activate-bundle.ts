import { DmoermError } from '@dmoerm/core';
import { bundleV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import type { ConnectionSecurity } from './client';

/** Addresses of all services of a mesh, `host:port` each; several replicas of a service are several entries. */
export interface MeshAddresses {
  readonly routers: readonly string[];
  readonly experts: readonly string[];
  readonly aggregators: readonly string[];
}

/** How to activate. */
export interface ActivateOptions {
  /** Longest time of one load, which reads and verifies the base, milliseconds. Default 10 minutes. */
  readonly timeoutMs?: number;
  /** How to reach the services of a kind, as an operator; default plaintext. */
  readonly security?: (kind: keyof MeshAddresses) => ConnectionSecurity;
  /** Told of each step, e.g. `127.0.0.1:50052: loaded`. */
  readonly onStep?: (address: string, step: 'loaded' | 'activated' | 'unloaded') => void;
}

/** What a mesh serves after the swap. */
export interface Activated {
  readonly revision: string;
  /** The bundle's name. */
  readonly name: string;
}

const LOAD_TIMEOUT_MS = 600_000;

/**
 * Swaps the model of a running mesh. The bundle is loaded and verified on every service before any of them activates it,
 * the routers last: they pin a revision on every hop, so each request sees the old model or the new one, never both. The
 * old revisions are unloaded in the end, the routers' first: theirs go when the last request that holds one is answered. If a load fails, what was loaded is unloaded and the old model serves on.
 * @param reference directory, digest or known name, as the services see it.
 * @throws DmoermError of the service that refused, its address in front of the message; FAILED_PRECONDITION, reason
 *   `REVISIONS_DIFFER`, if the services see different bundles under the reference.
 */
export async function activateBundle(
  reference: string,
  addresses: MeshAddresses,
  { timeoutMs = LOAD_TIMEOUT_MS, security = () => ({}), onStep = () => undefined }: ActivateOptions = {},
): Promise<Activated> {
  const services = (['experts', 'aggregators', 'routers'] as const).flatMap((kind) =>
    addresses[kind].map((target) => ({
      target,
      ...connect(bundleV1.BundleServiceService, { target, timeoutMs, ...security(kind) }),
    })),
  );
  const before = new Map<string, readonly bundleV1.Bundle[]>();
  try {
    const loaded: bundleV1.Bundle[] = [];
    try {
      for (const { target, call } of services) {
        before.set(
          target,
          await at(
            target,
            call.listBundles({}).then(({ bundles }) => bundles),
          ),
        );
        const { bundle } = await at(target, call.loadBundle({ reference, pinned: false }));
        if (bundle === undefined) throw badAnswer(target);
        loaded.push(bundle);
        onStep(target, 'loaded');
        if (bundle.revision !== loaded[0]?.revision) throw differ(target, reference);
      }
    } catch (error) {
      for (const [i, { revision }] of loaded.entries()) {
        const service = services[i];
        const known = before.get(service?.target ?? '')?.some((one) => one.revision === revision);
        // The first error is the one to tell: a service that cannot unload either is in the list of its revisions.
        if (service !== undefined && !known)
          await service.call.unloadBundle({ revision }).catch(() => undefined);
      }
      throw error;
    }
    const [{ revision, name } = { revision: '', name: '' }] = loaded;
    for (const { target, call } of services) {
      await at(target, call.activateBundle({ revision }));
      onStep(target, 'activated');
    }
    for (const { target, call } of [...services].reverse())
      for (const old of before.get(target) ?? [])
        if (old.revision !== revision) {
          await at(target, call.unloadBundle({ revision: old.revision }));
          onStep(target, 'unloaded');
        }
    return { revision, name };
  } finally {
    for (const { close } of services) close();
  }
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

function differ(target: string, reference: string): DmoermError {
  return new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'REVISIONS_DIFFER',
    message: `${target}: another bundle than the other services has under ${reference}; give all the same files, or name a digest`,
  });
}

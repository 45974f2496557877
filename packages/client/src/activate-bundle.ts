import { DmoermError } from '@dmoerm/core';
import type { bundleV1 } from '@dmoerm/protos';
import {
  activateEverywhere,
  activeOf,
  withMesh,
  type MeshAddresses,
  type MeshOptions,
  type MeshService,
} from './mesh-services';

/** How to activate. */
export interface ActivateOptions extends MeshOptions {
  /** Keeps what was active in memory, for `rollbackBundle`; default: it is unloaded. */
  readonly keep?: boolean;
}

/** What a mesh serves after the swap. */
export interface Activated {
  readonly revision: string;
  /** The bundle's name. */
  readonly name: string;
}

/**
 * Swaps the model of a running mesh. The bundle is loaded and verified on every service before any of them activates it,
 * the routers last: each request sees the old model or the new one, never both. The old revisions are unloaded in the end, the
 * routers' first: theirs go when the last request that holds one is answered. If a load or an activation fails, what was
 * loaded is unloaded and the old model serves on.
 * @param reference directory, digest or known name, as the services see it.
 * @throws DmoermError of the service that refused, its address in front of the message; FAILED_PRECONDITION, reason
 *   `REVISIONS_DIFFER`, if the services see different bundles under the reference.
 */
export function activateBundle(
  reference: string,
  addresses: MeshAddresses,
  options: ActivateOptions = {},
): Promise<Activated> {
  return withMesh(addresses, options, async (services) => {
    const before = new Map<string, readonly bundleV1.Bundle[]>();
    for (const service of services) before.set(service.target, await service.list());
    const loaded = new Map<MeshService, bundleV1.Bundle>();
    try {
      const made = await loadEverywhere(reference, services, loaded);
      const active = new Map([...before].map(([target, bundles]) => [target, activeOf(bundles)]));
      await activateEverywhere(services, made.revision, active);
      if (options.keep !== true) await unloadOthers(services, made.revision, before);
      return made;
    } catch (error) {
      for (const [service, { revision }] of [...loaded].reverse())
        if (!before.get(service.target)?.some((one) => one.revision === revision))
          // The first error is the one to tell: a service that cannot unload either is in the list of its revisions.
          await service.unload(revision).catch(() => undefined);
      throw error;
    }
  });
}

/** Loads the bundle on all; what is loaded is in `loaded`, whatever happens. */
async function loadEverywhere(
  reference: string,
  services: readonly MeshService[],
  loaded: Map<MeshService, bundleV1.Bundle>,
): Promise<Activated> {
  let first: bundleV1.Bundle | null = null;
  for (const service of services) {
    const bundle = await service.load(reference);
    loaded.set(service, bundle);
    first ??= bundle;
    if (bundle.revision !== first.revision) throw differ(service.target, reference);
  }
  return { revision: first?.revision ?? '', name: first?.name ?? '' };
}

async function unloadOthers(
  services: readonly MeshService[],
  revision: string,
  before: ReadonlyMap<string, readonly bundleV1.Bundle[]>,
): Promise<void> {
  for (const service of [...services].reverse())
    for (const old of before.get(service.target) ?? [])
      if (old.revision !== revision && !old.pinned) await service.unload(old.revision);
}

function differ(target: string, reference: string): DmoermError {
  return new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'REVISIONS_DIFFER',
    message: `${target}: another bundle than the other services has under ${reference}; give all the same files, or name a digest`,
  });
}

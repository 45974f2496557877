import { DmoermError } from '@dmoerm/core';
import type { Activated } from './activate-bundle';
import {
  activateEverywhere,
  activeOf,
  withMesh,
  type MeshAddresses,
  type MeshOptions,
} from './mesh-services';

/**
 * Returns a running mesh to the revision that it served before the active one, at once: nothing is loaded. The one that it
 * leaves stays in memory, so that a second rollback undoes the first.
 * @throws DmoermError FAILED_PRECONDITION, reason `NO_PREVIOUS_REVISION`, if a service does not hold it any more.
 */
export function rollbackBundle(addresses: MeshAddresses, options: MeshOptions = {}): Promise<Activated> {
  return withMesh(addresses, options, async (services) => {
    const held = await Promise.all(
      services.map(async (service) => ({ service, bundles: await service.list() })),
    );
    // The active one is first, the one before it second.
    const [, previous] = held.at(-1)?.bundles ?? [];
    for (const { service, bundles } of held)
      if (previous === undefined || !bundles.some(({ revision }) => revision === previous.revision))
        throw noPrevious(service.target);
    if (previous === undefined) throw noPrevious('');
    const active = new Map(held.map(({ service, bundles }) => [service.target, activeOf(bundles)]));
    await activateEverywhere(services, previous.revision, active);
    return { revision: previous.revision, name: previous.name };
  });
}

function noPrevious(target: string): DmoermError {
  return new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'NO_PREVIOUS_REVISION',
    message:
      `${target}: does not hold the revision before the active one; activate its bundle by name instead ` +
      '(`activate --keep` holds what it replaces)',
  });
}

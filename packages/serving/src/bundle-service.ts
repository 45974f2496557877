import { bundleV1 } from '@dmoerm/protos';
import { bindService } from '@dmoerm/rpc';
import type { ServiceBinding } from '@dmoerm/rpc';
import type { RevisionInfo, Revisions } from './revisions';

/** The operators' API to a service's revisions; nobody else may call it. */
export function bindBundleService(revisions: Revisions<AsyncDisposable>): ServiceBinding {
  return bindService(
    bundleV1.BundleServiceService,
    {
      loadBundle: async ({ reference, pinned }) => ({
        bundle: toBundle(await revisions.load(reference, pinned)),
      }),
      activateBundle: async ({ revision }) => ({ bundle: toBundle(revisions.activate(revision)) }),
      listBundles: async () => ({ bundles: revisions.list().map(toBundle) }),
      unloadBundle: async ({ revision }) => {
        await revisions.unload(revision);
        return {};
      },
    },
    ['operator'],
  );
}

function toBundle({ revision, name, active, bytes, pinned }: RevisionInfo): bundleV1.Bundle {
  const { ACTIVE, LOADED } = bundleV1.Bundle_State;
  return { revision, name, state: active ? ACTIVE : LOADED, bytes: BigInt(bytes), pinned };
}

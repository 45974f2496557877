import { bundleV1 } from '@dmoerm/protos';
import { bindService, type ServiceBinding } from '@dmoerm/rpc';
import type { Shadow } from './shadow';

/** `dmoerm.bundle.v1.ShadowService`: for operators. */
export function bindShadowService(shadow: Shadow): ServiceBinding {
  return bindService(
    bundleV1.ShadowServiceService,
    {
      startShadow: async ({ revision, share }) => {
        shadow.start(revision, share);
        return {};
      },
      stopShadow: async () => ({ report: shadow.stop() }),
      getShadowReport: async () => ({ report: shadow.report() }),
    },
    ['operator'],
  );
}

import { DmoermError } from '@dmoerm/core';
import { bundleV1 } from '@dmoerm/protos';
import { connect, type Calls } from '@dmoerm/rpc';
import type { MeshAddresses, MeshOptions } from './mesh-services';
import { withMesh } from './mesh-services';

/** How a candidate revision compares with the one that answers, on one router. */
export interface ShadowReport {
  readonly router: string;
  readonly revision: string;
  /** Of the items, (0, 1]. */
  readonly share: number;
  /** Items that both scored; that had no place; that the candidate sent to another task. */
  readonly items: number;
  readonly skipped: number;
  readonly rerouted: number;
  /** Items that the candidate could not score, by reason. */
  readonly failures: Readonly<Record<string, number>>;
  readonly tasks: readonly {
    readonly task: string;
    readonly candidates: number;
    /** Pairs of candidates of one item whose rewards differ in both, and the share that both put in the same order. */
    readonly pairs: number;
    readonly sameOrder: number;
    /** Pearson's, of the rewards. */
    readonly correlation: number;
    readonly active: Moments;
    readonly candidate: Moments;
  }[];
}

/** Of rewards. */
export interface Moments {
  readonly mean: number;
  /** Population standard deviation. */
  readonly deviation: number;
}

/**
 * Loads a candidate bundle on every service and lets the routers score a share of their items with it too, after the callers have
 * their answers.
 * @throws DmoermError of the service that refused; as `activateBundle` where the services see different bundles.
 */
export async function startShadow(
  reference: string,
  share: number,
  addresses: MeshAddresses,
  options: MeshOptions = {},
): Promise<{ readonly revision: string; readonly name: string }> {
  const loaded = await withMesh(addresses, options, async (services) => {
    const bundles = [];
    for (const service of services) bundles.push(await service.load(reference));
    return bundles;
  });
  const [first] = loaded;
  if (first === undefined || loaded.some(({ revision }) => revision !== first.revision))
    throw new DmoermError({
      code: 'FAILED_PRECONDITION',
      reason: 'REVISIONS_DIFFER',
      message: `the services see different bundles under ${reference}; give all the same files, or name a digest`,
    });
  const { revision, name } = first;
  await onRouters(addresses, options, (call) => call.startShadow({ revision, share }));
  return { revision, name };
}

/** What each router saw so far. @throws DmoermError FAILED_PRECONDITION, reason `NO_SHADOW`. */
export function shadowReports(addresses: MeshAddresses, options: MeshOptions = {}): Promise<ShadowReport[]> {
  return onRouters(addresses, options, async (call, router) =>
    toReport(router, (await call.getShadowReport({})).report),
  );
}

/**
 * Ends it, and unloads the candidate if it is not active by now.
 * @throws DmoermError FAILED_PRECONDITION, reason `NO_SHADOW`.
 */
export async function stopShadow(
  addresses: MeshAddresses,
  options: MeshOptions = {},
): Promise<ShadowReport[]> {
  const reports = await onRouters(addresses, options, async (call, router) =>
    toReport(router, (await call.stopShadow({})).report),
  );
  const revision = reports[0]?.revision ?? '';
  await withMesh(addresses, options, async (services) => {
    for (const service of [...services].reverse()) {
      const own = (await service.list()).find((bundle) => bundle.revision === revision);
      if (own?.state === bundleV1.Bundle_State.LOADED && !own.pinned) await service.unload(revision);
    }
  });
  return reports;
}

type ShadowCalls = Calls<typeof bundleV1.ShadowServiceService>;

async function onRouters<T>(
  { routers }: MeshAddresses,
  { security }: MeshOptions,
  work: (call: ShadowCalls, router: string) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  for (const target of routers) {
    const { call, close } = connect(bundleV1.ShadowServiceService, { target, ...security?.('routers') });
    try {
      results.push(await work(call, target));
    } finally {
      close();
    }
  }
  return results;
}

function toReport(router: string, report: bundleV1.ShadowReport | undefined): ShadowReport {
  if (report === undefined)
    throw new DmoermError({
      code: 'INTERNAL',
      reason: 'BAD_ANSWER',
      message: `${router}: answers without a report`,
    });
  const { revision, share, items, skipped, rerouted, failures, tasks } = report;
  const none = { mean: 0, deviation: 0 };
  return {
    router,
    revision,
    share,
    items: Number(items),
    skipped: Number(skipped),
    rerouted: Number(rerouted),
    failures: Object.fromEntries(Object.entries(failures).map(([reason, count]) => [reason, Number(count)])),
    tasks: tasks.map(({ task, candidates, pairs, sameOrder, correlation, active, candidate }) => ({
      task,
      candidates: Number(candidates),
      pairs: Number(pairs),
      sameOrder,
      correlation,
      active: active ?? none,
      candidate: candidate ?? none,
    })),
  };
}

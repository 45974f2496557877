import { join } from 'node:path';
import { activateBundle, createClient, type Client, type ItemResult, type ScoreItem } from '@dmoerm/client';
import { bundleV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import { createSpecBundle, SPEC_TASKS } from '@dmoerm/testing';
import { exitStatus, serve, type Served } from '../../serve';
import type { Figure, Outcome, Size } from '../figure';
import { createSpecFolder } from '../support/spec-folder';

const SWAPS: Readonly<Record<Size, number>> = { quick: 8, short: 60, full: 500 };
/** Callers at once. */
const CALLERS = 8;

/** Swaps two models of a running mesh under load; every answer must be that of the revision which it names, bit for bit. */
export const R11: Figure = {
  id: 'R11',
  title: 'hot swap',
  threshold: 'no request fails, none is answered by two revisions',
  measure: (size) =>
    withMesh(async ({ served, bundles, client }) => {
      const addresses = {
        routers: [served.addresses.router],
        experts: [served.addresses.expert],
        aggregators: [served.addresses.aggregator],
      };
      return underLoad(client, bundles, SWAPS[size], async (bundle) => {
        await activateBundle(bundle, addresses);
      });
    }),
  // The order is the defence: a router that activates what its peers have not loaded asks them for nothing.
  control: () =>
    withMesh(({ served, bundles, client }) =>
      underLoad(client, bundles, 4, async (bundle) => {
        for (const service of ['router', 'aggregator', 'expert'] as const) {
          const { call, close } = connect(bundleV1.BundleServiceService, {
            target: served.addresses[service],
          });
          const { bundle: loaded } = await call.loadBundle({ reference: bundle, pinned: false });
          await call.activateBundle({ revision: loaded?.revision ?? '' });
          for (const { revision } of (await call.listBundles({})).bundles.slice(1))
            await call.unloadBundle({ revision });
          close();
        }
      }),
    ),
};

interface Mesh {
  readonly served: Served;
  readonly bundles: readonly [string, string];
  readonly client: Client;
}

async function withMesh(work: (mesh: Mesh) => Promise<Outcome>): Promise<Outcome> {
  await using folder = await createSpecFolder();
  const other = join(folder.path, 'other');
  await createSpecBundle(other, folder.path, 2);
  const served = await serve(folder.bundle, folder.path);
  const client = createClient({ address: served.addresses.router });
  try {
    return await work({ served, bundles: [folder.bundle, other], client });
  } finally {
    client.close();
    served.child.kill('SIGTERM');
    await exitStatus(served.child);
  }
}

const ITEMS: readonly ScoreItem[] = SPEC_TASKS.map(({ word }) => ({
  prompt: { type: 'conversation', messages: [{ role: 'user', content: `${word}, why do rivers bend?` }] },
  candidates: ['because of sand', 'water cuts the outer bank', 'nobody knows'],
}));

async function underLoad(
  client: Client,
  bundles: readonly [string, string],
  swaps: number,
  swap: (bundle: string) => Promise<void>,
): Promise<Outcome> {
  // What each revision answers when nothing else happens.
  const oracle = new Map<string, string>();
  const ask = async (): Promise<ItemResult[]> => client.batchScore(ITEMS);
  const learn = async (): Promise<void> => {
    for (const result of await ask()) if (result.type === 'scored') oracle.set(keyOf(result), bitsOf(result));
  };
  await learn();
  await swap(bundles[1]);
  await learn();
  let over = false;
  let answered = 0;
  let wrong = 0;
  let degraded = 0;
  const failures = new Map<string, number>();
  const fail = (reason: string): void => void failures.set(reason, (failures.get(reason) ?? 0) + 1);
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!over)
      try {
        for (const result of await ask()) {
          if (result.type !== 'scored') fail(result.error.reason);
          else if (oracle.get(keyOf(result)) === bitsOf(result)) answered++;
          // One task has no learned aggregator: its answers are always degraded, and the oracle's too.
          else if (result.candidates.some((one) => one.type === 'score' && one.degraded)) degraded++;
          else wrong++;
        }
      } catch (error) {
        fail((error as { reason?: string }).reason ?? String(error));
      }
  });
  try {
    for (let i = 0; i < swaps; i++) await swap(bundles[i % 2 === 0 ? 0 : 1]);
  } finally {
    over = true;
    await Promise.all(callers);
  }
  const failed = [...failures.values()].reduce((a, b) => a + b, 0);
  const reasons = [...failures].map(([reason, count]) => `${count} ${reason}`).join(', ');
  return {
    holds: failed === 0 && wrong === 0 && degraded === 0 && answered > 0,
    figure: `${swaps} swaps: ${answered} items as their revision, ${wrong} mixed, ${degraded} degraded, ${failed} failed${reasons === '' ? '' : ` (${reasons})`}`,
  };
}

type Scored = Extract<ItemResult, { type: 'scored' }>;

function keyOf({ revision, route }: Scored): string {
  return `${revision} ${route?.task ?? ''}`;
}

function bitsOf({ candidates }: Scored): string {
  return JSON.stringify(
    candidates.map((one) => (one.type === 'score' ? [one.reward, one.capabilities] : one.error.reason)),
  );
}

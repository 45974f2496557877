import { createRandom } from '@dmoerm/core';
import { metrics } from '@dmoerm/telemetry';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Figure, Outcome, Size } from '../figure';
import { simulatedItem, simulatedText } from '../support/simulated-item';
import { startSimulatedMesh } from '../support/simulated-mesh';
import type { SimulatedMesh } from '../support/simulated-mesh';

const CALLS: Readonly<Record<Size, number>> = { quick: 300, short: 1200, full: 20_000 };
/** Times the threshold in milliseconds may be exceeded where the machine does other things besides. */
const NOISE: Readonly<Record<Size, number>> = { quick: 4, short: 2, full: 1 };
const REACH_MS = 100;
/** Some 60 items a second, one in a batch. */
const OPTIONS = { msPerRow: 0.2, expertFlags: ['--max-batch-tokens', '100'] };
/** Calls under way at once: they wait about 0.4 s. */
const CONCURRENCY = 24;
/** A call that gives up does so within this time, milliseconds: before, while and after it is computed. */
const PATIENCE_MS = 800;
/** Items that wait when all of their callers go at once. */
const CROWD = 40;

/** When the caller of an item stopped waiting for it, and when the engine began with it; on the clock of `performance`. */
interface Fate {
  gone: number;
  began: number;
}

/** Wasted work: half of the callers go away at random times, by cancelling or by their deadline. */
export const R4: Figure = {
  id: 'R4',
  title: 'wasted work',
  threshold:
    '<= 1 % of the items run are begun after their deadline or cancellation; a cancellation frees the queue <= 100 ms',
  measure: (size) => waste(size, false),
  control: (size) => waste(size, true),
};

async function waste(size: Size, forgetful: boolean): Promise<Outcome> {
  await using mesh = await startSimulatedMesh({ ...OPTIONS, forgetful });
  const fates = await callAndGo(mesh, CALLS[size]);
  const run = fates.filter(({ began }) => began < Infinity);
  const wasted = run.filter(({ gone, began }) => began > gone).length;
  const reachMs = await timeToReach(mesh, REACH_MS * NOISE[size]);
  const holds =
    wasted <= run.length / 100 && reachMs <= REACH_MS * NOISE[size] && run.length < 0.9 * fates.length;
  const figure =
    `${wasted} of ${run.length} items begun for nobody, ${fates.length} sent; ` +
    (reachMs < Infinity
      ? `${CROWD} cancelled calls left the queue in ${reachMs.toFixed(0)} ms`
      : 'cancelled calls stay in the queue');
  return { holds, figure };
}

/** Makes the calls; half of them give up: alternately by cancelling and by a deadline. */
async function callAndGo(mesh: SimulatedMesh, count: number): Promise<readonly Fate[]> {
  const random = createRandom(4);
  const fates = Array.from({ length: count }, (): Fate => ({ gone: Infinity, began: Infinity }));
  const byTokens = new Map(fates.map((fate, n) => [mesh.candidateTokens(simulatedText(n)).join(), fate]));
  mesh.engine.onCandidate = (tokens) => {
    const fate = byTokens.get(tokens.join());
    if (fate !== undefined) fate.began = performance.now();
  };
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < count) {
      const n = next++;
      const fate = fates[n] as Fate;
      const patience = 1 + PATIENCE_MS * random();
      if (n % 2 === 0) await mesh.router.call.score(simulatedItem(n)).catch(() => undefined);
      else if (n % 4 === 1) await cancelAfter(mesh, n, patience, fate);
      else {
        fate.gone = performance.now() + patience;
        await mesh.router.call.score(simulatedItem(n), { timeoutMs: patience }).catch(() => undefined);
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, caller));
  // What nobody waits for may still be on its way to the engine.
  while ((await queued()) > 0) await sleep(1);
  return fates;
}

async function cancelAfter(mesh: SimulatedMesh, n: number, ms: number, fate: Fate): Promise<void> {
  const client = new AbortController();
  const timer = setTimeout(() => {
    fate.gone = performance.now();
    client.abort();
  }, ms);
  await mesh.router.call.score(simulatedItem(n), { signal: client.signal }).catch(() => undefined);
  clearTimeout(timer);
}

/** Milliseconds from when many callers go at once until their items have left the queue; Infinity beyond `bound`. */
async function timeToReach(mesh: SimulatedMesh, bound: number): Promise<number> {
  const clients = Array.from({ length: CROWD }, () => new AbortController());
  const calls = clients.map(({ signal }, n) =>
    mesh.router.call.score(simulatedItem(n), { signal }).catch(() => undefined),
  );
  while ((await queued()) < CROWD / 2) await sleep(1);
  const start = performance.now();
  for (const client of clients) client.abort();
  while ((await queued()) > 0 && performance.now() - start <= bound) await sleep(1);
  const ms = performance.now() - start;
  await Promise.all(calls);
  return ms <= bound ? ms : Infinity;
}

/** Items in the expert's queue. */
async function queued(): Promise<number> {
  const { values } = await metrics.queueItems.get();
  return values.reduce((sum, { value }) => sum + value, 0);
}

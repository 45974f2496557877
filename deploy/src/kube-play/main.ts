import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@dmoerm/client';
import { createAuthority } from '@dmoerm/testing';
import { parseManifests } from '../chart';
import { Report } from '../report';
import { certify, examples, render } from './fixture';
import { Load, overGrpc } from './load';
import type { Expected, Score, Tally } from './load';
import { Mesh } from './mesh';
import { clear, crash, makeNetwork, podman, readyCount, start, stop, untilReady } from './podman';
import { toPods } from './pods';

const SERVICES = ['expert', 'aggregator', 'router', 'gateway'];
/** Calls at once. */
const WIDTH = 8;

const report = new Report();
const clean = ({ calls, failed, wrong }: Tally): boolean => calls > 0 && failed.size === 0 && wrong === 0;
const figures = ({ calls, failed, wrong }: Tally): object => ({
  calls,
  failed: Object.fromEntries(failed),
  wrong,
});
const tenths = (seconds: number): number => Number(seconds.toFixed(1));

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'dmoerm-kube-play-'));
  const authority = await createAuthority(folder, 'mesh');
  const pods = toPods(parseManifests(render()), await certify(authority));
  let mesh: Mesh | null = null;
  clear(pods);
  try {
    makeNetwork();
    mesh = new Mesh(pods, authority.ca);
    const ready = await Promise.all(mesh.pods.map((pod) => untilReady(pod)));
    report.check('every pod of the chart becomes ready', true, {
      pods: ready.length,
      seconds: tenths(Math.max(...ready)),
    });
    const trainer = await authority.issue('trainer', { names: ['DNS:trainer'] });
    const client = mesh.client(trainer, true);
    const items = examples();
    const [first] = items;
    if (first === undefined) throw new Error('the mesh outside of containers scores no example');
    await scores(client, items);
    const gateway = mesh.gateway(trainer);
    const overHttp: Score = (item) => gateway.score(item);
    await scoresOverHttp(overHttp, items);
    const page = await gateway.page();
    report.check('its gateway serves the playground', page.status === 200 && page.html, page);
    const nobody = await mesh.gateway(null).statusOf(first.item);
    report.check('its gateway refuses who has no certificate', nobody === 401, { status: nobody });
    const load = (kind: string): Load =>
      new Load(kind === 'gateway' ? overHttp : overGrpc(client), items, WIDTH);
    const stranger = await mesh.answerTo(null, first);
    report.check('it refuses who has no certificate', stranger === 'UNAVAILABLE', { answer: stranger });
    const past = await mesh.answerPastRouter(trainer);
    report.check('it refuses a trainer that calls past the router', past === 'UNAUTHENTICATED', {
      answer: past,
    });
    for (const kind of SERVICES) await killed(mesh, kind, load(kind));
    for (const kind of SERVICES) await stopped(mesh, kind, load(kind));
    for (const pod of mesh.of('expert')) podman(['stop', '--time', '0', pod.container]);
    const last = await mesh.answerTo(trainer, first);
    report.check('control: without experts there is no reward', last !== 'scored', { answer: last });
  } finally {
    mesh?.close();
    clear(pods);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function scores(client: Client, items: readonly Expected[]): Promise<void> {
  const results = await client.batchScore(items.map(({ item }) => item));
  const rewards = results.map((one) =>
    one.type === 'scored' ? one.candidates.map((each) => (each.type === 'score' ? each.reward : NaN)) : [],
  );
  const same = JSON.stringify(rewards) === JSON.stringify(items.map((one) => one.rewards));
  report.check('it scores the examples with the bits of a mesh outside of containers', same, {
    items: items.length,
  });
}

async function scoresOverHttp(score: Score, items: readonly Expected[]): Promise<void> {
  const rewards = await Promise.all(items.map(({ item }) => score(item)));
  const same = JSON.stringify(rewards) === JSON.stringify(items.map((one) => one.rewards));
  report.check('its gateway scores them with the same bits over HTTPS', same, { items: items.length });
}

/** Kills a pod of a service under load. */
async function killed(mesh: Mesh, kind: string, load: Load): Promise<void> {
  const [victim] = mesh.of(kind);
  if (victim === undefined) throw new Error(`no ${kind} plays`);
  await load.for(2_000);
  crash(victim);
  const seconds = await untilReady(victim, 2);
  await load.for(2_000);
  const tally = await load.stop();
  const found = { ...figures(tally), back_after_seconds: tenths(seconds) };
  report.check(`a killed ${kind} costs no call and comes back`, clean(tally), found);
}

/** Stops the pods of a service, one after another, under load. */
async function stopped(mesh: Mesh, kind: string, load: Load): Promise<void> {
  const ends = [];
  for (const pod of mesh.of(kind)) {
    await load.for(1_000);
    const { graceSeconds } = pod;
    ends.push({ ...(await stop(pod)), graceSeconds });
    const before = readyCount(pod);
    start(pod);
    await untilReady(pod, before + 1);
  }
  const tally = await load.stop();
  const orderly = ends.every(({ status, seconds, graceSeconds }) => status === 0 && seconds < graceSeconds);
  report.check(
    `${kind}s that are stopped one after another drain, end with 0 in time and cost no call`,
    clean(tally) && orderly,
    {
      ...figures(tally),
      seconds: ends.map(({ seconds }) => tenths(seconds)),
      grace_seconds: ends[0]?.graceSeconds,
    },
  );
}

main()
  .catch((error: unknown) =>
    report.check(
      `the play went to its end: ${error instanceof Error ? error.message : String(error)}`,
      false,
    ),
  )
  .finally(() => {
    const at = process.argv.indexOf('--json');
    process.exitCode = report.end(at < 0 ? undefined : process.argv[at + 1], {
      podman: podman(['--version']),
    });
  });

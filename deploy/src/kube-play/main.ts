import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync, spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createClient } from '@dmoerm/client';
import type { Client, ScoreItem } from '@dmoerm/client';
import { expertV1 } from '@dmoerm/protos';
import { connect as connectRpc } from '@dmoerm/rpc';
import { createAuthority } from '@dmoerm/testing';
import type { Authority, CertificateFilesOf } from '@dmoerm/testing';
import { parseManifests, renderChart } from '../chart';
import { Load } from './load';
import type { Expected, Tally } from './load';
import {
  SUBNET,
  clear,
  crash,
  makeNetwork,
  play,
  podman,
  readyCount,
  start,
  stop,
  untilReady,
} from './podman';
import type { PlayedPod } from './podman';
import { toPods } from './pods';

const ROOT = resolve(__dirname, '..', '..', '..');
const WIDTH = 8;
const KINDS = ['router', 'expert', 'aggregator', 'gateway'] as const;

const records: object[] = [];
let failed = 0;

/** Notes a finding, and says it. */
function check(says: string, holds: boolean, figures: object = {}): void {
  records.push({ says, holds, ...figures });
  if (!holds) failed++;
  process.stdout.write(`${holds ? 'ok     ' : 'FAILED '} ${says} ${JSON.stringify(figures)}\n`);
}

const clean = ({ calls, failed: errors, wrong }: Tally): boolean =>
  calls > 0 && errors.size === 0 && wrong === 0;
const figures = ({ calls, failed: errors, wrong }: Tally): object => ({
  calls,
  failed: Object.fromEntries(errors),
  wrong,
});

/** The good items of the examples with their rewards from a mesh outside of containers. */
function examples(): Expected[] {
  const file = join(ROOT, 'examples', 'conversations.jsonl');
  const command = [join(ROOT, 'apps', 'cli', 'bin', 'dmoerm.js'), 'score', file, '--output', 'jsonl'];
  const { stdout } = spawnSync(process.execPath, command, { encoding: 'utf8', cwd: ROOT });
  const scored = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; candidates?: { reward?: number }[] });
  const items = readFileSync(file, 'utf8').trim().split('\n');
  return items.flatMap((line) => {
    const { id, messages, candidates } = JSON.parse(line) as {
      id: string;
      messages: never;
      candidates: string[];
    };
    const rewards = scored.find((one) => one.id === id)?.candidates?.map(({ reward }) => reward);
    if (rewards === undefined || rewards.includes(undefined)) return [];
    const item: ScoreItem = { prompt: { type: 'conversation', messages }, candidates };
    return [{ item, rewards: rewards as number[] }];
  });
}

/** Certificates of the services, as Secrets of the names that the chart expects, and of callers. */
async function certify(authority: Authority): Promise<Record<string, Record<string, string>>> {
  const read = (file: string): string => readFileSync(file, 'utf8');
  const secrets = KINDS.map(async (kind) => {
    const { certificate, key } = await authority.issue(kind, { names: [`DNS:dmoerm-${kind}`] });
    return [
      `dmoerm-${kind}-tls`,
      { 'tls.crt': read(certificate), 'tls.key': read(key), 'ca.crt': read(authority.ca) },
    ] as const;
  });
  return Object.fromEntries(await Promise.all(secrets));
}

/** The chart as it is by default, with fewer cores and who may call. */
function render(withGateway: boolean): string {
  const set = {
    'gateway.enabled': withGateway,
    'gateway.replicas': 1,
    'aggregator.replicas': 2,
    'experts[0].name': 'main',
    'experts[0].longestCallSeconds': 20,
    'experts[0].resources.limits.cpu': 1,
    'experts[0].resources.limits.memory': '2Gi',
    'router.longestCallSeconds': 20,
    'security.identities[0].name': 'trainer',
    'security.identities[0].role': 'trainer',
    'security.identities[0].subjects[0]': 'DNS:trainer',
  };
  return renderChart(Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`]));
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'dmoerm-kube-play-'));
  const authority = await createAuthority(folder, 'mesh');
  const withGateway = spawnSync('podman', ['image', 'exists', 'localhost/dmoerm/gateway:0.1.0']).status === 0;
  if (!withGateway) process.stdout.write('skipped: the gateway (it has no image)\n');
  const pods = toPods(parseManifests(render(withGateway)), await certify(authority));
  const clients: Client[] = [];
  clear(pods);
  try {
    makeNetwork();
    const played = new Map<string, PlayedPod>(
      pods.map((pod, i) => [pod.name, play(pod, addressOf(pod.name, i))]),
    );
    const of = (kind: string): PlayedPod[] =>
      [...played.values()].filter(({ name }) => name.startsWith(`dmoerm-${kind}`));
    const ready = await Promise.all([...played.values()].map((pod) => untilReady(pod)));
    check('every pod of the chart becomes ready', true, {
      pods: ready.length,
      seconds: Math.round(Math.max(...ready)),
    });

    const { certificate, key } = await authority.issue('trainer', { names: ['DNS:trainer'] });
    const connect = (kind: string, identity?: CertificateFilesOf, patient = true): Client => {
      const address = `ipv4:${of(kind)
        .map(({ ip }) => `${ip}:50051`)
        .join(',')}`;
      const tls = { ca: authority.ca, serverName: `dmoerm-${kind}`, ...(identity && { identity }) };
      const client = createClient({ address, tls, timeoutMs: 60_000, patient });
      clients.push(client);
      return client;
    };
    const client = connect('router', { certificate, key });
    const items = examples();
    const results = await client.batchScore(items.map(({ item }) => item));
    const rewards = results.map((one) =>
      one.type === 'scored' ? one.candidates.map((each) => (each.type === 'score' ? each.reward : NaN)) : [],
    );
    check(
      'it scores the examples with the bits of a mesh outside of containers',
      JSON.stringify(rewards) === JSON.stringify(items.map((one) => one.rewards)),
      { items: items.length },
    );
    const [anExpert] = of('expert');
    await refusals(
      connect('router', undefined, false),
      anExpert?.ip ?? '',
      authority.ca,
      { certificate, key },
      items,
    );

    for (const kind of ['expert', 'aggregator', 'router']) {
      const [victim] = of(kind);
      if (victim === undefined) throw new Error(`no ${kind} plays`);
      const load = new Load(client, items, WIDTH);
      await load.for(2_000);
      crash(victim);
      const seconds = await untilReady(victim, 2);
      await load.for(2_000);
      const tally = await load.stop();
      check(`a killed ${kind} costs no call and comes back`, clean(tally), {
        ...figures(tally),
        back_after_seconds: Number(seconds.toFixed(1)),
      });
    }
    for (const kind of ['expert', 'aggregator', 'router']) {
      const load = new Load(client, items, WIDTH);
      const ends = [];
      for (const pod of of(kind)) {
        await load.for(1_000);
        ends.push(await stop(pod));
        const before = readyCount(pod);
        start(pod);
        await untilReady(pod, before + 1);
      }
      const tally = await load.stop();
      const [grace = 0] = of(kind).map(({ graceSeconds }) => graceSeconds);
      const orderly = ends.every(({ status, seconds }) => status === 0 && seconds < grace);
      check(
        `${kind}s that are stopped one after another drain, end with 0 in time and cost no call`,
        clean(tally) && orderly,
        {
          ...figures(tally),
          seconds: ends.map(({ seconds }) => Number(seconds.toFixed(1))),
          grace_seconds: grace,
        },
      );
    }
    for (const pod of of('expert')) podman(['stop', '--time', '0', pod.container]);
    const last = await answerOf(connect('router', { certificate, key }, false), items);
    check('control: without experts there is no reward', last !== 'scored', { answer: last });
  } finally {
    for (const client of clients) client.close();
    clear(pods);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Routers are called from this machine. */
function addressOf(name: string, i: number): string | undefined {
  return name.startsWith('dmoerm-router') ? `${SUBNET}.${200 + i}` : undefined;
}

/** Who may not call. */
async function refusals(
  stranger: Client,
  ip: string,
  ca: string,
  trainer: CertificateFilesOf,
  items: readonly Expected[],
): Promise<void> {
  const answer = await answerOf(stranger, items);
  check('it refuses who has no certificate', answer === 'UNAVAILABLE', { answer });
  const tls = { ca, serverName: 'dmoerm-expert', identity: trainer };
  const expert = connectRpc(expertV1.ExpertServiceService, { target: `${ip}:50051`, tls });
  const past = await expert.call.evaluate(expertV1.EvaluateRequest.fromPartial({ task: 'chat' })).then(
    () => 'OK',
    (error: { code?: string }) => error.code,
  );
  expert.close();
  check(
    'it refuses a trainer that calls past the router',
    past === 'PERMISSION_DENIED' || past === 'UNAUTHENTICATED',
    { answer: past },
  );
}

/** How one call ends, within seconds. */
async function answerOf(client: Client, items: readonly Expected[]): Promise<string> {
  const [first] = items;
  if (first === undefined) throw new Error('there are no examples');
  try {
    const { candidates } = await client.score(first.item, { signal: AbortSignal.timeout(10_000) });
    return candidates.every(({ type }) => type === 'score') ? 'scored' : 'error';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

main()
  .catch((error: unknown) =>
    check(`the play went to its end: ${error instanceof Error ? error.message : String(error)}`, false),
  )
  .finally(() => {
    const at = process.argv.indexOf('--json');
    const file = process.argv[at + 1];
    const machine = {
      podman: execFileSync('podman', ['--version'], { encoding: 'utf8' }).trim(),
      node: process.version,
    };
    if (at > 0 && file !== undefined)
      writeFileSync(file, [{ machine }, ...records].map((one) => `${JSON.stringify(one)}\n`).join(''));
    process.stdout.write(`${records.length - failed} passed, ${failed} failed\n`);
    process.exitCode = failed === 0 ? 0 : 1;
  });

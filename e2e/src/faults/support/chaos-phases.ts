import { DmoermError } from '@dmoerm/core';
import { createClient, type ScoreItem } from '@dmoerm/client';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome } from '../figure';
import { fixture } from './fixture';
import { createForgetfulRelay } from './forgetful-relay';
import { describeCalls, makeOracle, startLoad, type TimedCall } from './load-process';
import { end, startService, type ServiceProcess } from './service-process';
import { changingName, mayMount, onFullDisk } from './surroundings';

const SECONDS = 4;
const DEADLINE_S = 5;
/** Batches at once: each waits a few seconds for the missing experts to come back. */
const AT_ONCE = 50;

/** The name of the experts points elsewhere, and those behind the old address go. */
export function nameMoves(times: number): Promise<Outcome> {
  return underLoad('DNS change', times, moveOnce);
}

async function moveOnce(load: Load): Promise<void> {
  const files = await fixture();
  const name = changingName(files.folder);
  await using mesh = new Processes();
  const expert = (listen: string) => startService('expert', files, ['--threads', '1'], listen);
  const old = await mesh.add(expert('127.0.0.2:0'));
  const port = old.address.split(':')[1];
  const next = await mesh.add(expert(`127.0.0.3:${port}`));
  name.point('127.0.0.2');
  const aggregator = await mesh.add(startService('aggregator', files));
  const peers = ['--expert', `dns:///${name.host}:${port}`, '--aggregator', aggregator.address];
  const router = await mesh.add(startService('router', files, peers, '127.0.0.1:0', name.within));
  await load(router.address, async () => {
    name.point(next.address.replace(/:.*/, ''));
    await end(old.child, 'SIGTERM');
  });
}

/** Experts whose disk is full: they log and cache nothing, start all the same, and serve. */
export function diskFull(times: number): Promise<Outcome> {
  return underLoad('disk full', times, fillOnce);
}

async function fillOnce(load: Load): Promise<void> {
  const files = await fixture();
  const { within, cache } = onFullDisk(files.folder);
  await using mesh = new Processes();
  const flags = ['--threads', '1', '--cache-dir', cache];
  const experts = await Promise.all(
    [1, 2].map(() => mesh.add(startService('expert', files, flags, '127.0.0.1:0', within))),
  );
  const aggregator = await mesh.add(startService('aggregator', files));
  const target = `ipv4:${experts.map(({ address }) => address).join(',')}`;
  const router = await mesh.add(
    startService('router', files, ['--expert', target, '--aggregator', aggregator.address]),
  );
  await load(router.address, async () => {
    const [first] = experts;
    if (first === undefined) return;
    await end(first.child, 'SIGKILL');
    await mesh.add(first.restart());
  });
}

/** One task's experts cannot be reached: soft routing answers from the other's alone, and says so every time. */
export async function expertMissing(batches: number): Promise<Outcome> {
  const files = await fixture();
  await using mesh = new Processes();
  const expert = await mesh.add(startService('expert', files, ['--threads', '1']));
  const away = new DmoermError({ code: 'UNAVAILABLE', reason: 'AWAY', message: 'no expert of this task' });
  let missing = false;
  const relay = createForgetfulRelay(expert.address, ({ task }) => (missing && task === 'qa' ? away : null));
  const { address } = await relay.start();
  const aggregator = await mesh.add(startService('aggregator', files));
  const router = await mesh.add(
    startService('router', files, ['--expert', address, '--aggregator', aggregator.address]),
  );
  const client = createClient({ address: router.address });
  const item: ScoreItem = {
    prompt: { type: 'conversation', messages: [{ role: 'user', content: 'hello, a query' }] },
    candidates: ['rivers bend', 'they do not'],
    options: { routing: { type: 'soft' } },
  };
  const flags = async (): Promise<(boolean | null)[]> => {
    const results = await client.batchScore(Array.from({ length: 8 }, () => item));
    return results.flatMap((result) =>
      result.type === 'error'
        ? [null]
        : result.candidates.map((one) => (one.type === 'score' ? one.degraded : null)),
    );
  };
  try {
    const before = await flags();
    missing = true;
    const during: (boolean | null)[] = [];
    for (let n = 0; n < batches; n += AT_ONCE) {
      const group = Array.from({ length: Math.min(AT_ONCE, batches - n) }, flags);
      during.push(...(await Promise.all(group)).flat());
    }
    missing = false;
    const after = await flags();
    const flagged = during.filter((one) => one === true).length;
    return {
      holds: flagged === during.length && [...before, ...after].every((one) => one === false),
      figure: `missing expert: ${flagged} of ${during.length} rewards degraded, ${after.filter(Boolean).length} when it is back`,
    };
  } finally {
    client.close();
    await relay.stop();
  }
}

/** Sends calls all the while that something happens. */
type Load = (target: string, happens: () => Promise<void>) => Promise<void>;

/** A mesh to which something happens under load, again and again; right answers to all of it, in time. */
async function underLoad(what: string, times: number, once: (load: Load) => Promise<void>): Promise<Outcome> {
  if (!mayMount()) return { holds: true, figure: `${what}: not run, only root can mount` };
  const files = await fixture();
  const calls: TimedCall[] = [];
  const load: Load = async (target, happens) => {
    const oracle = await makeOracle(files, target);
    const options = { target, burstsPerS: 1.5, seconds: SECONDS, ranks: 8, deadlineS: DEADLINE_S, seed: 15 };
    const sending = await startLoad(files, oracle, options);
    await sleep((1e3 * SECONDS) / 3);
    await happens();
    calls.push(...(await sending.calls));
  };
  for (let n = 0; n < times; n++) await once(load);
  return {
    holds: calls.length > 0 && calls.every(({ code, wrong }) => code === 'OK' && !wrong),
    figure: `${what}, ${times} x: ${describeCalls(calls)}`,
  };
}

/** Processes that end with the block. */
class Processes implements AsyncDisposable {
  private readonly all: ServiceProcess[] = [];

  async add(starting: Promise<ServiceProcess>): Promise<ServiceProcess> {
    const process = await starting;
    this.all.push(process);
    return process;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map(({ child }) => end(child, 'SIGKILL')));
  }
}

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expertV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import type { Figure, Outcome, Size } from '../figure';
import { Cluster } from '../support/cluster';
import { fixture } from '../support/fixture';
import { describeCalls, makeOracle, startLoad } from '../support/load-process';
import { end, type ServiceName } from '../support/service-process';

/** Restarts of each process, in the mesh of how many replicas; how long a long call takes and how often its client asks for a sign of life. */
const SIZES = {
  quick: { rounds: 1, restarted: 1, callMs: 2_500, keepaliveMs: 400 },
  short: { rounds: 2, restarted: 2, callMs: 6_000, keepaliveMs: 2_000 },
  full: { rounds: 10, restarted: 2, callMs: 6_000, keepaliveMs: 2_000 },
};
const REPLICAS = 2;
const SERVICES: readonly ServiceName[] = ['router', 'expert', 'aggregator'];
/** About what a process takes to drain and start again on a slow machine, milliseconds: so long is sent. */
const RESTART_MS = 1_600;
const LONG_CALLS = 8;
const SLOW_EXPERT = join(__dirname, '..', '..', '..', 'dist', 'faults', 'support', 'slow-expert.js');

/** R2: a rolling restart costs no call. */
export const R2: Figure = {
  id: 'R2',
  title: 'rolling restart',
  threshold:
    'SIGTERM to every process, one after the other, under load and under 6 s calls with keepalive: 0 failed, 0 begun twice, exit 0',
  measure: async (size) => {
    const [mesh, long] = [await underLoad(size), await underLongCalls(size, 'drain')];
    return { holds: mesh.holds && long.holds, figure: `mesh: ${mesh.figure}; long calls: ${long.figure}` };
  },
  control: (size) => underLongCalls(size, 'stock'),
};

async function underLoad(size: Size): Promise<Outcome> {
  const { rounds, restarted } = SIZES[size];
  const files = await fixture();
  await using cluster = await Cluster.start(files, {
    experts: REPLICAS,
    aggregators: REPLICAS,
    routers: REPLICAS,
  });
  const target = cluster.target('router');
  const oracle = await makeOracle(files, target);
  const seconds = (rounds * SERVICES.length * restarted * RESTART_MS) / 1e3;
  const load = await startLoad(files, oracle, {
    target,
    burstsPerS: 3,
    seconds,
    ranks: 8,
    deadlineS: 30,
    seed: 2,
  });
  const statuses: unknown[] = [];
  for (let round = 0; round < rounds; round++)
    for (const name of SERVICES)
      for (let n = 0; n < restarted; n++) statuses.push(await cluster.replace(name, n, 'SIGTERM'));
  const calls = await load.calls;
  const good = calls.every(({ code, wrong, degraded }) => code === 'OK' && !wrong && !degraded);
  return {
    holds: good && statuses.every((status) => status === 0),
    figure: `${describeCalls(calls)}, ${statuses.length} restarts, ${statuses.filter((status) => status !== 0).length} not with status 0`,
  };
}

async function underLongCalls(size: Size, kind: 'drain' | 'stock'): Promise<Outcome> {
  const { rounds, callMs, keepaliveMs } = SIZES[size];
  let begun = 0;
  const start = (address?: string): Promise<SlowExpert> =>
    startSlow(kind, callMs, () => (begun += 1), address);
  const replicas = await Promise.all(Array.from({ length: REPLICAS }, () => start()));
  const target = `ipv4:${replicas.map(({ address }) => address).join(',')}`;
  const { call, close } = connect(expertV1.ExpertServiceService, { target, keepaliveMs });
  let over = false;
  let calls = 0;
  let failed = 0;
  const work = async (): Promise<void> => {
    while (!over) {
      calls += 1;
      await call.evaluate(expertV1.EvaluateRequest.create({ task: 'chat' })).catch(() => (failed += 1));
    }
  };
  try {
    const working = Promise.all(Array.from({ length: LONG_CALLS }, work));
    const statuses: unknown[] = [];
    for (let n = 0; n < rounds * REPLICAS; n++) {
      // Calls are under way, at first perhaps all of them on the replica that was connected sooner.
      await sleep(callMs / 5);
      const old = replicas[n % REPLICAS];
      if (old === undefined) continue;
      statuses.push(await end(old.child, 'SIGTERM'));
      replicas[n % REPLICAS] = await start(old.address);
    }
    over = true;
    await working;
    return {
      // A call that is dropped is made again by our client: it is not lost, but its work is.
      holds: failed === 0 && begun === calls && statuses.every((status) => status === 0),
      figure: `${failed} failed and ${begun - calls} begun twice of ${calls} of ${callMs / 1e3} s over ${statuses.length} restarts (${kind})`,
    };
  } finally {
    over = true;
    close();
    for (const { child } of replicas) await end(child, 'SIGKILL');
  }
}

interface SlowExpert {
  readonly child: ChildProcess;
  readonly address: string;
}

async function startSlow(
  kind: string,
  callMs: number,
  onCall: () => void,
  address = '127.0.0.1:0',
): Promise<SlowExpert> {
  const child = spawn(process.execPath, [SLOW_EXPERT, kind, address, `${callMs}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout);
  const [line] = (await once(lines, 'line')) as [string];
  lines.on('line', onCall);
  return { child, address: line };
}

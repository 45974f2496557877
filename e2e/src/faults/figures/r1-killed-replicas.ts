import { setTimeout as sleep } from 'node:timers/promises';
import { percentiles } from '@dmoerm/load';
import type { Figure, Outcome, Size } from '../figure';
import { Cluster } from '../support/cluster';
import { CANDIDATES, fixture } from '../support/fixture';
import {
  keepCalling,
  messageOf,
  ourChannel,
  stockChannel,
  throttledChannel,
  type Caller,
} from '../support/killed-channel';
import { describeCalls, makeOracle, startLoad, type TimedCall } from '../support/load-process';

/** Bursts of 64 calls at once, and kills through the mesh; kills under calls of one size. */
const SIZES = {
  quick: { seconds: 4, kills: 2, directKills: 1 },
  short: { seconds: 20, kills: 8, directKills: 4 },
  full: { seconds: 660, kills: 20, directKills: 20 },
};
const BURSTS_PER_S = 1.2;
/** Its first bursts are spread over the first seconds. */
const SEED = 28;
const SMALL = 1 << 10;
const BIG = 2 << 20;
const IN_FLIGHT = 64;
const EXPERTS = 3;
/** The replica is killed with calls on it; then the others have this long with all of them. */
const BETWEEN_MS = 300;
/** Latency of the next two seconds over that of quiet times. A restart takes a core of a two-core machine: on a noisy one, more. */
const SLOWER = { quick: 9, short: 6, full: 3 };
const AFTER_MS = 2_000;

/** R1: a killed expert costs no call. */
export const R1: Figure = {
  id: 'R1',
  title: 'killed replicas',
  threshold:
    'kill -9 of experts at 64 calls in flight, 1 KB and 2 MB: 0 failed, 0 wrong; p99 of the next 2 s at most 3 x steady',
  measure: async (size) => {
    const files = await fixture();
    await using cluster = await Cluster.start(files, { experts: EXPERTS, aggregators: 1, routers: 1 });
    const mesh = await throughMesh(cluster, size);
    const small = await direct(cluster, size, SMALL, ourChannel);
    const big = await direct(cluster, size, BIG, ourChannel);
    return {
      holds: mesh.holds && small.holds && big.holds,
      figure: `through the router: ${mesh.figure}; 1 KB: ${small.figure}; 2 MB: ${big.figure}`,
    };
  },
  control: async (size) => {
    const files = await fixture();
    await using cluster = await Cluster.start(files, { experts: EXPERTS, aggregators: 0, routers: 0 });
    const buffers = await direct(cluster, size, BIG, stockChannel);
    const throttle = await direct(cluster, size, SMALL, throttledChannel);
    return {
      // Either alone must lose calls.
      holds: buffers.holds || throttle.holds,
      figure: `2 MB, default retry buffers: ${buffers.figure}; 1 KB, retry throttle 10 : 0.1: ${throttle.figure}`,
    };
  },
};

async function throughMesh(cluster: Cluster, size: Size): Promise<Outcome> {
  const files = await fixture();
  const { seconds, kills } = SIZES[size];
  const target = cluster.target('router');
  const oracle = await makeOracle(files, target);
  const options = { target, burstsPerS: BURSTS_PER_S, seconds, ranks: CANDIDATES, deadlineS: 30, seed: SEED };
  const load = await startLoad(files, oracle, options);
  const killed: number[] = [];
  const everyMs = (seconds * 1e3) / (kills + 1);
  const begin = Date.now();
  for (let n = 0; n < kills; n++) {
    await sleep(Math.max(0, begin + (n + 0.8) * everyMs - Date.now()));
    killed.push(Date.now());
    await cluster.replace('expert', n % EXPERTS, 'SIGKILL');
  }
  const calls = await load.calls;
  const slower = slowdown(calls, killed);
  const good = calls.every(({ code, wrong, degraded }) => code === 'OK' && !wrong && !degraded);
  return {
    holds: good && slower <= SLOWER[size],
    figure: `${describeCalls(calls)} over ${kills} kills, p99 ${slower.toFixed(1)} x steady`,
  };
}

function slowdown(calls: readonly TimedCall[], killed: readonly number[]): number {
  const after = ({ at }: TimedCall): boolean => killed.some((time) => at >= time && at < time + AFTER_MS);
  const p99 = (own: readonly TimedCall[]): number => percentiles(own.map(({ latencyMs }) => latencyMs)).p99;
  const steady = calls.filter((call) => !after(call));
  return p99(calls.filter(after)) / p99(steady.length > 0 ? steady : calls);
}

/** From a client with the policy of trainers, over all experts. */
async function direct(
  cluster: Cluster,
  size: Size,
  bytes: number,
  open: (target: string) => Caller,
): Promise<Outcome> {
  const caller = open(cluster.target('expert'));
  const over = new AbortController();
  try {
    await caller.call(messageOf(1));
    const { directKills } = SIZES[size];
    const calling = keepCalling(caller, messageOf(bytes), IN_FLIGHT, over.signal);
    for (let n = 0; n < directKills; n++) {
      await sleep(BETWEEN_MS);
      await cluster.replace('expert', n % EXPERTS, 'SIGKILL');
    }
    await sleep(BETWEEN_MS);
    over.abort();
    const { calls, lost } = await calling;
    const kinds = [...new Set(lost)].slice(0, 2).join('; ');
    return {
      holds: lost.length === 0,
      figure: `${lost.length} failed${kinds === '' ? '' : ` (${kinds})`} of ${calls} over ${directKills} kills`,
    };
  } finally {
    over.abort();
    caller.close();
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { createRandom, shuffle } from '@dmoerm/core';
import { percentiles } from '@dmoerm/load';
import type { Figure, Outcome, Size } from '../figure';
import { diskFull, expertMissing, nameMoves } from '../support/chaos-phases';
import { capacityOf } from '../support/capacity';
import { Cluster } from '../support/cluster';
import { fixture } from '../support/fixture';
import { describeCalls, makeOracle, startLoad, type TimedCall } from '../support/load-process';
import { startProxy, type Proxy } from '../support/proxy';

/** A fault that has passed when its promise resolves. */
type Fault = (cluster: Cluster, proxies: readonly Proxy[], random: () => number) => Promise<void>;

const EXPERTS = 3;
const AGGREGATORS = 2;
const FREEZE_MS = 6_000;
const LATENCY_MS = 200;
const LATENCY_LASTS_MS = 2_000;
const SEED = 15;
/** An answer later than this is as good as none. */
const BOUND_S = 5;
const SHARE_IN_TIME = 0.9999;
/** Full capacity is back after this long: from then on answers are at most so many times slower than before all faults. */
const BACK_MS = 5_000;
const SLOWER = 3;
const BEFORE_MS = 3_000;

const kill =
  (name: 'expert' | 'aggregator'): Fault =>
  async (cluster, _, random) =>
    void (await cluster.replace(name, Math.floor(random() * cluster.all(name).length), 'SIGKILL'));

const freeze =
  (name: 'expert' | 'aggregator'): Fault =>
  async (cluster, _, random) => {
    const replicas = cluster.all(name);
    const child = replicas[Math.floor(random() * replicas.length)]?.child;
    child?.kill('SIGSTOP');
    await sleep(FREEZE_MS);
    child?.kill('SIGCONT');
  };

const reset: Fault = async (_, proxies, random) => proxies[Math.floor(random() * proxies.length)]?.reset();

const slow: Fault = async (_, proxies, random) => {
  const proxy = proxies[Math.floor(random() * proxies.length)];
  if (proxy === undefined) return;
  proxy.latencyMs = LATENCY_MS;
  await sleep(LATENCY_LASTS_MS);
  proxy.latencyMs = 0;
};

const ALL = [kill('expert'), freeze('expert'), slow, reset, kill('aggregator'), freeze('aggregator')];

interface Scale {
  /** Of each round. */
  readonly faults: readonly Fault[];
  readonly rounds: number;
  /** After each fault. */
  readonly restMs: number;
  /** How often a name moves and a disk is full. */
  readonly times: number;
  /** Batches that are asked for while an expert is missing. */
  readonly batches: number;
}

const SIZES: Readonly<Record<Size, Scale>> = {
  quick: { faults: ALL.slice(0, 4), rounds: 1, restMs: 0, times: 1, batches: 1 },
  short: { faults: ALL, rounds: 1, restMs: BACK_MS + 1_500, times: 2, batches: 50 },
  full: { faults: ALL, rounds: 30, restMs: BACK_MS + 1_500, times: 10, batches: 1_000 },
};
const RANKS = 8;
/** Calls a second where the load is no measured share of anything. */
const GENTLE = 12;
const CAPACITY_S = 5;

/** R15: whatever happens to single processes and connections, trainers get right answers in time. */
export const R15: Figure = {
  id: 'R15',
  title: 'chaos',
  threshold:
    'kill, SIGSTOP, 200 ms latency, RST, DNS change and full disk at half load: 99.99 % answered within 5 s, 0 wrong, full capacity 5 s after each fault; missing expert: always degraded',
  measure: async (size) => {
    const { faults, times, batches } = SIZES[size];
    const outcomes = [await soak(size, faults, []), await nameMoves(times), await diskFull(times)];
    outcomes.push(await expertMissing(batches));
    return {
      holds: outcomes.every(({ holds }) => holds),
      figure: outcomes.map(({ figure }) => figure).join('; '),
    };
  },
  // Both defences are settings: a mesh with one replica of each service has no use for them.
  control: () => soak('quick', [freeze('expert')], ['--silence-ms', '600000', '--hedge-percent', '0']),
};

async function soak(size: Size, faults: readonly Fault[], routerFlags: readonly string[]): Promise<Outcome> {
  const { rounds, restMs } = SIZES[size];
  const files = await fixture();
  using proxies = new Proxies();
  await using cluster = await Cluster.start(files, {
    experts: EXPERTS,
    aggregators: AGGREGATORS,
    routers: 1,
    routerFlags,
    through: (address) => proxies.add(address),
  });
  const target = cluster.target('router');
  const oracle = await makeOracle(files, target);
  const perS = restMs === 0 ? GENTLE : (await capacityOf(target, files, RANKS, CAPACITY_S)) / 2;
  const random = createRandom(SEED);
  const order = Array.from({ length: rounds }, () => shuffle(faults, random)).flat();
  const before = restMs === 0 ? 0 : BEFORE_MS;
  const load = await startLoad(files, oracle, {
    target,
    burstsPerS: perS / RANKS,
    seconds: (before + order.length * (restMs + FREEZE_MS / 2)) / 1e3,
    ranks: RANKS,
    deadlineS: BOUND_S,
    seed: SEED,
  });
  await sleep(before);
  const passed: { readonly from: number; readonly to: number }[] = [];
  for (const fault of order) {
    const from = Date.now();
    await fault(cluster, proxies.all, random);
    passed.push({ from, to: Date.now() });
    await sleep(restMs);
  }
  const calls = await load.calls;
  const inTime = calls.filter(({ code, wrong }) => code === 'OK' && !wrong).length / calls.length;
  const slower = restMs === 0 ? 0 : slowdown(calls, passed, restMs);
  const wrong = calls.some((call) => call.wrong);
  return {
    holds: inTime >= SHARE_IN_TIME && !wrong && slower <= SLOWER,
    figure:
      `${describeCalls(calls)} over ${order.length} faults at ${perS.toFixed(0)} calls/s, slowest ${(percentiles(calls.map(({ latencyMs }) => latencyMs)).max / 1e3).toFixed(1)} s` +
      (restMs === 0 ? '' : `, ${slower.toFixed(1)} x slower when faults are over`),
  };
}

/** Median latency when faults are over, beside that before the first. */
function slowdown(
  calls: readonly TimedCall[],
  faults: readonly { readonly from: number; readonly to: number }[],
  restMs: number,
): number {
  const median = (own: readonly TimedCall[]): number =>
    percentiles(own.map(({ latencyMs }) => latencyMs)).p50;
  const quiet = calls.filter(({ at }) => at < (faults[0]?.from ?? 0));
  const back = calls.filter(({ at }) => faults.some(({ to }) => at >= to + BACK_MS && at < to + restMs));
  return quiet.length === 0 || back.length === 0 ? Infinity : median(back) / median(quiet);
}

class Proxies implements Disposable {
  readonly all: Proxy[] = [];

  async add(target: string): Promise<string> {
    const proxy = await startProxy(target);
    this.all.push(proxy);
    return proxy.address;
  }

  [Symbol.dispose](): void {
    for (const proxy of this.all) proxy[Symbol.dispose]();
  }
}

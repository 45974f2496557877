import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type Client } from '@dmoerm/client';
import { SPEC_TASKS } from '@dmoerm/testing';
import { QUICK_END, exitStatus, serve, type Served } from '../../serve';
import type { Figure, Outcome, Size } from '../figure';
import { Cluster } from '../support/cluster';
import { fixture } from '../support/fixture';
import { createForgetfulRelay } from '../support/forgetful-relay';
import { describeCalls, startLoad } from '../support/load-process';
import { probed, sampleMemory } from '../support/memory';
import { startProxy, type Proxy } from '../support/proxy';
import { seededItems } from '../support/seeded-items';
import { end } from '../support/service-process';
import { checkTraces, type Roots, type TraceReport } from '../support/trace-check';
import { KIND, startTraceSink } from '../support/trace-sink';

/** Calls whose traces are looked at, connections reset meanwhile; rounds of throughput; calls with the collector down. */
const SIZES = {
  quick: { burstsPerS: 6, seconds: 2, resets: 3, rounds: 3, roundS: 0.3, calls: 200 },
  short: { burstsPerS: 3, seconds: 20, resets: 20, rounds: 9, roundS: 1, calls: 2000 },
  full: { burstsPerS: 3, seconds: 225, resets: 100, rounds: 25, roundS: 2, calls: 20_000 },
};
/** 16 calls of four candidates. */
const RANKS = 16;
const EXPERTS = 2;
const SAMPLED = 0.1;
/** Noise of two measurements beside each other on a shared machine. */
const MOST_LOSS: Readonly<Record<Size, number>> = { quick: 0.3, short: 0.1, full: 0.05 };
const MOST_BYTES = 16 << 20;
const CONCURRENCY = 8;
/** The port `discard`: nothing listens there. */
const NOBODY = 'http://127.0.0.1:9';
/** Items that pass through every service: the other tasks have no aggregator. */
const ITEMS = seededItems(12).filter((_, n) => SPEC_TASKS[n % SPEC_TASKS.length]?.learned);

const CLIENT: Roots = { kind: KIND.client, method: 'dmoerm.reward.v1.RewardService/Score' };
const ROUTER: Roots = { kind: KIND.server, method: 'dmoerm.reward.v1.RewardService/BatchScore' };

/** R14: traces are whole, cost little, and a dead collector harms nobody. */
export const R14: Figure = {
  id: 'R14',
  title: 'traces',
  threshold:
    'every edge of every sampled call, retried ones too, 0 orphans, links = batch; throughput -5 % at most at 10 % sampling; collector down: 0 failed, 16 MB at most',
  measure: async (size) => {
    const outcomes = [await allSampled(size, false), await someSampled(size), await collectorDown(size)];
    return {
      holds: outcomes.every(({ holds }) => holds),
      figure: outcomes.map(({ figure }) => figure).join('; '),
    };
  },
  control: async () => {
    const { holds, figure } = await allSampled('quick', true);
    return { holds, figure: `context dropped between router and experts: ${figure}` };
  },
};

/** Calls of a client over a mesh whose connections to the experts break again and again; then every span is looked at. */
async function allSampled(size: Size, forgetful: boolean): Promise<Outcome> {
  const files = await fixture();
  await using sink = await startTraceSink();
  await using between = new Between(forgetful);
  await using cluster = await Cluster.start(files, {
    experts: EXPERTS,
    aggregators: 1,
    routers: 1,
    flags: ['--otlp-endpoint', sink.endpoint],
    through: (address) => between.add(address),
  });
  const target = cluster.target('router');
  const client = { OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint };
  const { burstsPerS, seconds, resets } = SIZES[size];
  const options = { target, burstsPerS, seconds, ranks: RANKS, deadlineS: 30, seed: 14 };
  const load = await startLoad(files, null, options, client);
  for (let n = 0; n < resets; n++) {
    await sleep((1e3 * seconds) / (resets + 1));
    between.reset(n);
  }
  const calls = await load.calls;
  // What the services still hold they send before they end.
  const services = (['router', 'expert', 'aggregator'] as const).flatMap((name) => cluster.all(name));
  await Promise.all(services.map(({ child }) => end(child, 'SIGTERM')));
  const report = checkTraces(sink.spans(), CLIENT);
  const good = calls.every(({ code }) => code === 'OK');
  return {
    holds: good && report.requests === calls.length && report.retried > 0 && isWhole(report),
    figure: describeTraces(report, calls.length) + (good ? '' : `; ${describeCalls(calls)}`),
  };
}

function isWhole({ incomplete, orphans, badLinks, unconventional }: TraceReport): boolean {
  return incomplete.length + orphans + badLinks + unconventional.length === 0;
}

function describeTraces(report: TraceReport, calls: number): string {
  const { requests, retried, incomplete, orphans, forwards, badLinks, unconventional } = report;
  const kinds = [...new Set([...incomplete, ...unconventional])].slice(0, 3).join(', ');
  return (
    `${requests - incomplete.length} of ${calls} traces complete${kinds === '' ? '' : ` (${kinds})`}, ` +
    `${retried} retried, ${orphans} orphans, ${badLinks} of ${forwards} batches with wrong links`
  );
}

/** Throughput with a tenth of the calls traced, against none, in turns; and those traces are whole too. */
async function someSampled(size: Size): Promise<Outcome> {
  const files = await fixture();
  await using sink = await startTraceSink();
  const meshes = await Promise.all([
    serve(files.bundle, files.folder, [], tracing(sink.endpoint, SAMPLED)),
    serve(files.bundle, files.folder, [], QUICK_END),
  ]);
  const clients = meshes.map(({ addresses }) => createClient({ address: addresses.router }));
  const { rounds, roundS } = SIZES[size];
  const ratios: number[] = [];
  let calls = 0;
  const measure = async (i: number): Promise<number> => {
    const { done, perS } = await callFor(clients[i] as Client, roundS);
    if (i === 0) calls += done;
    return perS;
  };
  try {
    for (const i of [0, 1]) await measure(i);
    for (let n = 0; n < rounds; n++) {
      const rates: number[] = [];
      for (const i of n % 2 === 0 ? [0, 1] : [1, 0]) rates[i] = await measure(i);
      ratios.push((rates[0] ?? NaN) / (rates[1] ?? NaN));
    }
  } finally {
    for (const client of clients) client.close();
    await Promise.all(meshes.map(stop));
  }
  const median = ratios.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? NaN;
  const report = checkTraces(sink.spans(), ROUTER);
  return {
    holds: 1 - median <= MOST_LOSS[size] && report.requests > 0 && isWhole(report),
    figure:
      `at ${100 * SAMPLED} % sampling throughput ${(100 * (median - 1)).toFixed(1)} % (median of ${rounds}), ` +
      `${report.requests} of ${calls} calls sampled: ${describeTraces(report, report.requests)}`,
  };
}

/** Calls of a few callers without pause. */
async function callFor(client: Client, seconds: number): Promise<{ done: number; perS: number }> {
  const begin = performance.now();
  const until = begin + 1e3 * seconds;
  let done = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      const n = done++ % ITEMS.length;
      await client.batchScore(ITEMS.slice(n, n + 1));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, caller));
  return { done, perS: (1e3 * done) / (performance.now() - begin) };
}

/** Answers, and what each service holds beyond what it held after the first calls, with a collector that is not there. */
async function collectorDown(size: Size): Promise<Outcome> {
  const { calls } = SIZES[size];
  const files = await fixture();
  const served = await serve(files.bundle, files.folder, [], {
    ...tracing(NOBODY, 1),
    ...probed(files.folder, 0),
  });
  const client = createClient({ address: served.addresses.router });
  const sample = () => sampleMemory(served.child.pid ?? 0, files.folder);
  let failed = 0;
  const call = async (count: number): Promise<void> => {
    let next = 0;
    const caller = async (): Promise<void> => {
      while (next++ < count) {
        const [result] = await client.batchScore(ITEMS.slice(0, 1)).catch(() => []);
        if (result?.type !== 'scored') failed++;
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, caller));
  };
  try {
    await call(20);
    const before = await sample();
    await call(calls);
    const grown = [...(await sample())].map(([name, { live }]) => live - (before.get(name)?.live ?? 0));
    const most = Math.max(...grown);
    return {
      holds: failed === 0 && most <= MOST_BYTES,
      figure: `collector down: ${failed} of ${calls + 20} calls failed, +${(most / 2 ** 20).toFixed(1)} MB`,
    };
  } finally {
    client.close();
    await stop(served);
  }
}

function tracing(endpoint: string, ratio: number): Readonly<Record<string, string>> {
  const ratios = ['ROUTER', 'EXPERT', 'AGGREGATOR'].map((name) => [
    `DMOERM_${name}_SAMPLE_RATIO`,
    `${ratio}`,
  ]);
  return { ...QUICK_END, ...Object.fromEntries(ratios), OTEL_EXPORTER_OTLP_ENDPOINT: endpoint };
}

async function stop({ child }: Served): Promise<void> {
  child.kill('SIGTERM');
  await exitStatus(child);
}

/** What stands between router and experts: connections that can be reset, behind them a hop that forgets its caller if asked. */
class Between implements AsyncDisposable {
  private readonly proxies: Proxy[] = [];
  private readonly relays: ReturnType<typeof createForgetfulRelay>[] = [];

  constructor(private readonly forgetful: boolean) {}

  async add(expert: string): Promise<string> {
    const proxy = await startProxy(this.forgetful ? await this.relay(expert) : expert);
    this.proxies.push(proxy);
    return proxy.address;
  }

  reset(n: number): void {
    this.proxies[n % this.proxies.length]?.reset();
  }

  private async relay(expert: string): Promise<string> {
    const relay = createForgetfulRelay(expert);
    this.relays.push(relay);
    return (await relay.start()).address;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const proxy of this.proxies) proxy[Symbol.dispose]();
    for (const relay of this.relays) await relay.stop();
  }
}

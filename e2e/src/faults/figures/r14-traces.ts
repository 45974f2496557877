import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type Client } from '@dmoerm/client';
import { QUICK_END, exitStatus, serve, type Served } from '../../serve';
import type { Figure, Outcome, Size } from '../figure';
import { Cluster } from '../support/cluster';
import { fixture } from '../support/fixture';
import { createForgetfulRelay } from '../support/forgetful-relay';
import { makeOracle, startLoad, describeCalls } from '../support/load-process';
import { probed, sampleMemory } from '../support/memory';
import { startProxy, type Proxy } from '../support/proxy';
import { seededItems } from '../support/seeded-items';
import { end } from '../support/service-process';
import { checkTraces } from '../support/trace-check';
import { startTraceSink } from '../support/trace-sink';

/** Calls whose traces are looked at, connections reset meanwhile; rounds of throughput; calls with the collector down. */
const SIZES = {
  quick: { seconds: 3, resets: 4, rounds: 3, roundS: 0.7, calls: 400 },
  short: { seconds: 20, resets: 20, rounds: 9, roundS: 1, calls: 2000 },
  full: { seconds: 105, resets: 100, rounds: 25, roundS: 2, calls: 20_000 },
};
/** 16 calls of four candidates. */
const RANKS = 16;
const BURSTS_PER_S = 6;
const EXPERTS = 2;
const SAMPLED = 0.1;
/** Noise of two measurements beside each other on a shared machine. */
const MOST_LOSS: Readonly<Record<Size, number>> = { quick: 0.3, short: 0.1, full: 0.05 };
const MOST_BYTES = 16 << 20;
const CONCURRENCY = 8;
/** The port `discard`: nothing listens there. */
const NOBODY = 'http://127.0.0.1:9';

/** R14: traces are whole, cost little, and a dead collector harms nobody. */
export const R14: Figure = {
  id: 'R14',
  title: 'traces',
  threshold:
    'every edge of every sampled call, retried ones too, 0 orphans, links = batch; throughput -5 % at most at 10 % sampling; collector down: 0 failed, 16 MB at most',
  measure: async (size) => {
    const whole = await completeness(size, false);
    const cost = await overhead(size);
    const down = await collectorDown(size);
    return {
      holds: whole.holds && cost.holds && down.holds,
      figure: `${whole.figure}; ${cost.figure}; ${down.figure}`,
    };
  },
  control: async (size) => {
    const { holds, figure } = await completeness(size === 'full' ? 'short' : 'quick', true);
    return { holds, figure: `context dropped between router and experts: ${figure}` };
  },
};

/** Calls of a client over a mesh whose connections to the experts break again and again; then every span is looked at. */
async function completeness(size: Size, forgetful: boolean): Promise<Outcome> {
  const files = await fixture();
  await using sink = await startTraceSink();
  const proxies: Proxy[] = [];
  const relays: { stop(): Promise<void> }[] = [];
  const through = async (address: string): Promise<string> => {
    let target = address;
    if (forgetful) {
      const relay = createForgetfulRelay(address);
      relays.push(relay);
      target = (await relay.start()).address;
    }
    const proxy = await startProxy(target);
    proxies.push(proxy);
    return proxy.address;
  };
  const flags = ['--otlp-endpoint', sink.endpoint];
  try {
    await using cluster = await Cluster.start(files, {
      experts: EXPERTS,
      aggregators: 1,
      routers: 1,
      flags,
      through,
    });
    const target = cluster.target('router');
    const client = { OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint };
    const oracle = await makeOracle(files, target, client);
    const { seconds, resets } = SIZES[size];
    const options = { target, burstsPerS: BURSTS_PER_S, seconds, ranks: RANKS, deadlineS: 30, seed: 14 };
    const load = await startLoad(files, oracle, options, client);
    for (let n = 0; n < resets; n++) {
      await sleep((1e3 * seconds) / (resets + 1));
      proxies[n % proxies.length]?.reset();
    }
    const calls = await load.calls;
    // What the services still hold they send before they end.
    for (const name of ['router', 'expert', 'aggregator'] as const)
      for (const { child } of cluster.all(name)) await end(child, 'SIGTERM');
    const report = checkTraces(sink.spans());
    const { requests, retried, incomplete, orphans, forwards, badLinks } = report;
    const good = calls.every(({ code, wrong }) => code === 'OK' && !wrong);
    const kinds = [...new Set(incomplete)].slice(0, 3).join(', ');
    return {
      holds: good && requests === calls.length && retried > 0 && incomplete.length + orphans + badLinks === 0,
      figure:
        `${requests - incomplete.length} of ${calls.length} traces complete${kinds === '' ? '' : ` (${kinds})`}, ` +
        `${retried} retried, ${orphans} orphans, ${badLinks} of ${forwards} batches with wrong links` +
        (good ? '' : `; ${describeCalls(calls)}`),
    };
  } finally {
    for (const proxy of proxies) proxy[Symbol.dispose]();
    for (const relay of relays) await relay.stop();
  }
}

/** Throughput with a tenth of the traces exported, against none, in turns. */
async function overhead(size: Size): Promise<Outcome> {
  const files = await fixture();
  await using sink = await startTraceSink();
  const traced = await serve(files.bundle, files.folder, [], tracing(sink.endpoint, SAMPLED));
  const plain = await serve(files.bundle, files.folder, [], QUICK_END);
  const clients = [traced, plain].map(({ addresses }) => createClient({ address: addresses.router }));
  try {
    const { rounds, roundS } = SIZES[size];
    const ratios: number[] = [];
    for (const client of clients) await callFor(client, roundS);
    for (let n = 0; n < rounds; n++) {
      const rates: number[] = [];
      for (const i of n % 2 === 0 ? [0, 1] : [1, 0]) rates[i] = await callFor(clients[i] as Client, roundS);
      ratios.push((rates[0] ?? NaN) / (rates[1] ?? NaN));
    }
    const median = ratios.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? NaN;
    const sampled = sink.spans().length;
    return {
      holds: 1 - median <= MOST_LOSS[size] && sampled > 0,
      figure: `throughput ${(100 * (median - 1)).toFixed(1)} % at ${100 * SAMPLED} % sampling (median of ${rounds})`,
    };
  } finally {
    for (const client of clients) client.close();
    await stop(traced);
    await stop(plain);
  }
}

/** Calls a second of a few callers without pause. */
async function callFor(client: Client, seconds: number): Promise<number> {
  const until = performance.now() + 1e3 * seconds;
  const items = seededItems(8, 1);
  let done = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      await client.batchScore(items.slice(done % 8, (done % 8) + 1));
      done++;
    }
  };
  const begin = performance.now();
  await Promise.all(Array.from({ length: CONCURRENCY }, caller));
  return done / (performance.now() - begin);
}

/** Memory and answers with a collector that is not there, beside those without one. */
async function collectorDown(size: Size): Promise<Outcome> {
  const down = await growth(size, tracing(NOBODY, 1));
  const off = await growth(size, QUICK_END);
  const more = Math.max(...[...down.live].map(([name, bytes]) => bytes - (off.live.get(name) ?? 0)));
  return {
    holds: down.failed === 0 && more <= MOST_BYTES,
    figure: `collector down: ${down.failed} of ${SIZES[size].calls} calls failed, ${(more / 2 ** 20).toFixed(1)} MB more held`,
  };
}

/** What each service holds after so many calls beyond what it held after the first few. */
async function growth(
  size: Size,
  env: Readonly<Record<string, string>>,
): Promise<{ readonly failed: number; readonly live: ReadonlyMap<string, number> }> {
  const files = await fixture();
  const served = await serve(files.bundle, files.folder, [], { ...env, ...probed(files.folder, 0) });
  const client = createClient({ address: served.addresses.router });
  const sample = () => sampleMemory(served.child.pid ?? 0, files.folder);
  const [item] = seededItems(1, 1);
  if (item === undefined) throw new Error('there is no item');
  let failed = 0;
  const call = async (calls: number): Promise<void> => {
    let next = 0;
    const caller = async (): Promise<void> => {
      while (next++ < calls) {
        const results = await client.batchScore([item]).catch(() => []);
        if (results[0]?.type !== 'scored') failed++;
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, caller));
  };
  try {
    await call(20);
    const before = await sample();
    await call(SIZES[size].calls);
    const after = await sample();
    const live = new Map(
      [...after].map(([name, { live: bytes }]) => [name, bytes - (before.get(name)?.live ?? 0)]),
    );
    return { failed, live };
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

import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@dmoerm/client';
import type { Client } from '@dmoerm/client';
import { drawArrivals, percentiles, runLoad, scoreWork } from '@dmoerm/load';
import type { Percentiles, Work } from '@dmoerm/load';
import { makeConversation } from '../mesh/conversations';
import { serve } from '../mesh/served';
import type { ServiceName } from '../mesh/served';
import { progress } from '../progress';
import { readCounters } from './metrics-page';

/** Whose processor time is measured: the services, and the load generator as a caller. */
export const PARTS = ['caller', 'router', 'expert', 'aggregator'] as const;
export type Part = (typeof PARTS)[number];

/** What was measured while calls of one shape were sent. */
export interface Sample {
  /** Candidates of a call. */
  readonly candidates: number;
  readonly calls: number;
  /** Rows that the engine computed. */
  readonly tokens: number;
  /** Processor time, seconds. */
  readonly cpuSeconds: Readonly<Record<Part, number>>;
  /** At the end, bytes. */
  readonly memoryBytes: Readonly<Record<ServiceName, number>>;
  readonly latencyMs: Percentiles;
}

/** How much is measured. */
export interface MeasureOptions {
  readonly bundle: string;
  /** Of the engine. With one, its processor time is its time. */
  readonly threads: number;
  /** For which calls of each shape are sent. */
  readonly seconds: number;
  readonly seed: number;
}

/** Candidates of a call: a line through their costs tells what a call costs and what a candidate. */
const SHAPES = [1, 4, 16, 32];
const PROMPT_WORDS = 100;
const CANDIDATE_WORDS = 60;
/** Share of what the mesh can do: busy enough that caches are warm, as they are where this matters. */
const SHARE = 0.6;
/** Long enough for the code to be compiled, too. */
const CAPACITY_SECONDS = 5;
/** Compilers and garbage collectors are at work for a while after calls. */
const SETTLE_SECONDS = 5;
const CALLERS = 8;
const TIMEOUT_MS = 60_000;

/** Sends calls of every shape to a mesh on loopback, open loop, and reads what they cost each process. @throws Error if a call fails. */
export async function measureCosts({ bundle, threads, seconds, seed }: MeasureOptions): Promise<Sample[]> {
  const env = { ...process.env, DMOERM_EXPERT_THREADS: `${threads}` };
  await using served = await serve(bundle, env);
  const client = createClient({ address: served.address, timeoutMs: TIMEOUT_MS });
  try {
    await capacityOf(client, SHAPES[0] ?? 1);
    const idle = await idleLoad(served.metrics, seconds);
    const samples: Sample[] = [];
    for (const candidates of SHAPES) {
      const callsPerS = SHARE * (await capacityOf(client, candidates));
      progress(`calls of ${candidates}: ${callsPerS.toFixed(1)} a second for ${seconds} s`);
      const draw = (random: () => number): Work[] => [work(Math.floor(random() * 2 ** 32), candidates)];
      const arrivals = drawArrivals({ seed, burstsPerS: callsPerS, seconds }, draw);
      const before = await snapshot(served.metrics);
      const { calls } = await runLoad(arrivals, scoreWork(client));
      const after = await snapshot(served.metrics);
      const failed = calls.find(({ code }) => code !== 'OK');
      if (failed !== undefined) throw new Error(`a call failed: ${failed.code} ${failed.reason}`);
      samples.push({
        candidates,
        calls: calls.length,
        tokens: after.tokens - before.tokens,
        cpuSeconds: spent(before, after, idle),
        memoryBytes: after.memoryBytes,
        latencyMs: percentiles(calls.map(({ latencyMs }) => latencyMs)),
      });
    }
    return samples;
  } finally {
    client.close();
  }
}

function work(seed: number, candidates: number): Work {
  const shape = { promptWords: PROMPT_WORDS, candidates, candidateWords: CANDIDATE_WORDS };
  return { id: `${seed}`, firstCandidate: 0, item: makeConversation(seed, shape) };
}

/** Calls a second that a mesh does when it always has enough to do; also its warm-up. */
async function capacityOf(client: Client, candidates: number): Promise<number> {
  const end = performance.now() + 1e3 * CAPACITY_SECONDS;
  let done = 0;
  const caller = async (_: unknown, n: number): Promise<void> => {
    for (let i = 0; performance.now() < end; i++, done++)
      await client.score(work(n * 1e6 + i, candidates).item);
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return done / CAPACITY_SECONDS;
}

interface Snapshot extends Pick<Sample, 'tokens' | 'cpuSeconds' | 'memoryBytes'> {
  /** When it was taken, seconds. */
  readonly at: number;
}

type Metrics = Readonly<Record<ServiceName, string>>;

/**
 * Processor time a second of processes that nobody asks anything, over a time as long as that of the calls: what they do by themselves, and one
 * look at their counters, are no costs of calls.
 */
async function idleLoad(metrics: Metrics, seconds: number): Promise<Record<Part, number>> {
  await sleep(SETTLE_SECONDS * 1e3);
  const before = await snapshot(metrics);
  await sleep(seconds * 1e3);
  const after = await snapshot(metrics);
  const none = { caller: 0, router: 0, expert: 0, aggregator: 0 };
  const spare = spent(before, after, none);
  return mapParts((part) => spare[part] / (after.at - before.at));
}

/** Processor time between two looks, beyond what idle processes take. */
function spent(
  before: Snapshot,
  after: Snapshot,
  idle: Readonly<Record<Part, number>>,
): Record<Part, number> {
  const seconds = after.at - before.at;
  return mapParts((part) => after.cpuSeconds[part] - before.cpuSeconds[part] - idle[part] * seconds);
}

function mapParts(value: (part: Part) => number): Record<Part, number> {
  return Object.fromEntries(PARTS.map((part) => [part, value(part)])) as Record<Part, number>;
}

async function snapshot(metrics: Metrics): Promise<Snapshot> {
  const [router, expert, aggregator] = await Promise.all([
    readCounters(metrics.router),
    readCounters(metrics.expert),
    readCounters(metrics.aggregator),
  ]);
  const { user, system } = process.cpuUsage();
  return {
    at: performance.now() / 1e3,
    tokens: expert.tokens,
    cpuSeconds: {
      caller: (user + system) / 1e6,
      router: router.cpuSeconds,
      expert: expert.cpuSeconds,
      aggregator: aggregator.cpuSeconds,
    },
    memoryBytes: {
      router: router.memoryBytes,
      expert: expert.memoryBytes,
      aggregator: aggregator.memoryBytes,
    },
  };
}

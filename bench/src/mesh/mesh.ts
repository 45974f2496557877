import { createClient } from '@dmoerm/client';
import { loadConfig } from '@dmoerm/config';
import { loadModel } from '@dmoerm/model';
import { EXPERT_CONFIG } from '@dmoerm/service-expert';
import { openCachedBundle } from '../cached-bundle';
import { compare, judged, median, type BenchRecord, type Goal } from '../records';
import { quantile } from '../statistics';
import { takeTurns } from '../turns';
import { measureHop, measureIdle, type Overhead } from './idle';
import { engineSeconds, meshSeconds, prepareWork } from './saturation';
import { serve } from './served';

/** What to measure. */
export interface MeshOptions {
  readonly bundle: string;
  readonly threads: number;
  /** Small requests. */
  readonly requests: number;
  /** Conversations a round. */
  readonly items: number;
  /** Rounds in which loaded mesh and engine take turns. */
  readonly rounds: number;
}

/** Longest time of one call, milliseconds. */
const TIMEOUT_MS = 300_000;
const MESH = 'mesh';
const ENGINE = 'engine alone';
const WARM_UP_REQUESTS = 10;
const WARM_UP_ITEMS = 8;
const HOPS = 50;

/**
 * What router, gRPC and aggregator cost beside the engine: the latency that they add to a small request, and the share of the engine's
 * throughput that is left under load. One mesh and one engine, both resident; only one of them works at a time.
 */
export async function benchMesh(options: MeshOptions): Promise<BenchRecord[]> {
  const env = { ...process.env, DMOERM_EXPERT_THREADS: `${options.threads}` };
  const { weightType, isa, threads, maxBatchTokens } = loadConfig(EXPERT_CONFIG, { argv: [], env });
  await using served = await serve(options.bundle, env);
  const client = createClient({ address: served.address, timeoutMs: TIMEOUT_MS });
  const bundle = await openCachedBundle(options.bundle);
  await using model = await loadModel(bundle, { weightType, isa, threads });
  try {
    await measureIdle(client, WARM_UP_REQUESTS, 0);
    const { overheads, engineMs } = await measureIdle(client, options.requests, 1_000_000);
    const hops = await measureHop(client, HOPS, median(engineMs));
    const work = await prepareWork(client, model, options.items);
    await meshSeconds(client, { ...work, items: work.items.slice(0, WARM_UP_ITEMS) });
    const seconds = await takeTurns(
      'under load',
      [
        { name: MESH, run: async () => [await meshSeconds(client, work)] },
        { name: ENGINE, run: async () => [await engineSeconds(model, work, maxBatchTokens)] },
      ],
      options.rounds,
    );
    const speed = (name: string): number => work.tokens / median(seconds.get(name) ?? []);
    const { info } = model.engine;
    const on = `${info.weightType} ${info.isa} threads=${info.threads}`;
    const tasks = [...new Set(work.prepared.map(({ task }) => task))].sort().join(', ');
    return [
      ...idleRecords(
        overheads,
        hops,
        `${on}; a small request is ${median(engineMs).toFixed(0)} ms of engine time`,
      ),
      compare(
        {
          bench: 'mesh',
          case: `${work.items.length} conversations of up to ${work.conversationTokens} tokens, N=4`,
          metric: 'throughput',
          unit: 'tokens/s',
          value: speed(MESH),
          note: `${on}; tokens are the engine's rows; tasks ${tasks}; batches of ${maxBatchTokens} tokens`,
        },
        { peer: ENGINE, value: speed(ENGINE) },
        { bound: 'at least', value: 0.97 },
      ),
    ];
  } finally {
    client.close();
  }
}

function idleRecords(overheads: readonly Overhead[], hops: readonly number[], note: string): BenchRecord[] {
  const record = (name: string, values: readonly number[], q: number, goal?: Goal): BenchRecord =>
    judged(
      {
        bench: 'mesh',
        case: `${name}, p${q * 100}`,
        parameters: { quantile: q, requests: values.length },
        metric: 'latency beyond the engine',
        unit: 'ms',
        value: quantile(values, q),
        note,
      },
      goal,
    );
  const part = (name: keyof Overhead): number[] => overheads.map((one) => one[name]);
  return [
    record('one small request after another', part('total'), 0.5, { bound: 'at most', value: 3 }),
    record('one small request after another', part('total'), 0.99),
    record('- client and its connection', part('client'), 0.5),
    record('- router and the way to the expert', part('router'), 0.5),
    record('- queue', part('queue'), 0.5),
    record('- aggregator and the way there', part('aggregator'), 0.5),
    record('for comparison, one call that does nothing after as long a silence', hops, 0.5),
  ];
}

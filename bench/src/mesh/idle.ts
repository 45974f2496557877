import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@dmoerm/client';
import { makeConversation } from './conversations';

/** Where one request's time went besides the engine, milliseconds. */
export interface Overhead {
  /** What the caller waited beyond the engine's own time: the sum of the parts below. */
  readonly total: number;
  /** Client, its connection and the router's server: what the router's clock does not see. */
  readonly client: number;
  /** In the router beyond the parts below: classifying, the way to the expert and back, answers. */
  readonly router: number;
  /** Waiting for the engine. */
  readonly queue: number;
  /** The aggregator, with the way there. */
  readonly aggregator: number;
}

const NS_PER_MS = 1e6;
/** One candidate; with the template around it the prompt has about twice the tokens. */
const SMALL = { promptWords: 20, candidates: 1, candidateWords: 20 };

/** One client, one small request after another; every text is new. */
export async function measureIdle(
  client: Client,
  requests: number,
  seed: number,
): Promise<{ readonly overheads: readonly Overhead[]; readonly engineMs: readonly number[] }> {
  const overheads: Overhead[] = [];
  const engineMs: number[] = [];
  for (let i = 0; i < requests; i++) {
    const item = makeConversation(seed + i, SMALL);
    const start = performance.now();
    const { candidates, timingsNs } = await client.score(item);
    const latency = performance.now() - start;
    for (const candidate of candidates) if (candidate.type === 'error') throw candidate.error;
    const engine = timingsNs.engine / NS_PER_MS;
    const queue = timingsNs.queue / NS_PER_MS;
    const aggregator = timingsNs.aggregate / NS_PER_MS;
    const router = timingsNs.total / NS_PER_MS;
    engineMs.push(engine);
    overheads.push({
      total: latency - engine,
      client: latency - router,
      router: router - engine - queue - aggregator,
      queue,
      aggregator,
    });
  }
  return { overheads, engineMs };
}

/**
 * What one call costs that does nothing, after `silenceMs` without any, milliseconds: caches and processes have cooled down as they do
 * while the engine works. A small request makes three such calls.
 */
export async function measureHop(client: Client, calls: number, silenceMs: number): Promise<number[]> {
  const latencies: number[] = [];
  for (let i = 0; i < calls; i++) {
    await sleep(silenceMs);
    const start = performance.now();
    await client.getModel();
    latencies.push(performance.now() - start);
  }
  return latencies;
}

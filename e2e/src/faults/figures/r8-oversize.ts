import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { percentiles } from '@dmoerm/load';
import { rewardV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import type { Figure, Outcome, Size } from '../figure';
import { startEdge, type Edge } from '../support/edge';
import { goodTraffic, type Traffic } from '../support/good-traffic';
import {
  answerOf,
  frame,
  openCall,
  openSession,
  prefix,
  rewardPath,
  type RawAnswer,
} from '../support/raw-call';

const LIMIT = 4 << 20;
const MAX_RSS_GROWTH = 8 << 20;
const RESOURCE_EXHAUSTED = 8;
/** The processes share two cores with whatever else runs; the threshold, 50 ms, is for a quiet machine. */
const ANSWER_MS: Readonly<Record<Size, number>> = { quick: 400, short: 100, full: 50 };
const ROUNDS: Readonly<Record<Size, number>> = { quick: 3, short: 10, full: 50 };
const HANG_MS = 2_000;
/** Zeros, which gzip makes 1,000 times smaller. */
const BOMB_BYTES = 64 << 20;

/** A message that is larger than the server takes: declared, sent, or wrapped in gzip. */
interface Attack {
  readonly name: string;
  send(edge: Edge): Promise<RawAnswer>;
}

const bomb = gzipSync(Buffer.alloc(BOMB_BYTES));

const ATTACKS: readonly Attack[] = [
  { name: 'limit + 1 B', send: (edge) => send(edge, frame(Buffer.alloc(LIMIT + 1))) },
  {
    name: 'declared 1 GiB',
    send: (edge) => send(edge, Buffer.concat([prefix(1 << 30), Buffer.alloc(1 << 20)])),
  },
  { name: 'declared 4 GiB', send: (edge) => send(edge, prefix(0xffff_ffff)) },
  { name: 'gzip bomb', send: (edge) => send(edge, frame(bomb, true), { 'grpc-encoding': 'gzip' }) },
  {
    name: 'gzip bomb in a stream',
    send: (edge) =>
      send(edge, frame(bomb, true), { 'grpc-encoding': 'gzip', ':path': rewardPath('StreamScore') }),
  },
];

/** Messages over the limit. */
export const R8: Figure = {
  id: 'R8',
  title: 'oversize messages',
  threshold:
    'limit + 1 B to declared 4 GiB, gzip bomb 1 : 1,000: RESOURCE_EXHAUSTED <= 50 ms, RSS <= +8 MB each, others unaffected',
  measure: (size) => attackAll(LIMIT, ATTACKS, size),
  // Without a limit, which the server can be told, only the bomb shows in memory before its sender stops.
  control: () => attackAll(-1, ATTACKS.slice(3, 4), 'quick'),
};

async function attackAll(limit: number, attacks: readonly Attack[], size: Size): Promise<Outcome> {
  await using edge = await startEdge({ kind: 'guarded', limits: { maxMessageBytes: limit } });
  const client = connect(rewardV1.RewardServiceService, { target: edge.address });
  let stop = (): void => undefined;
  const over = new Promise<void>((resolve) => (stop = resolve));
  const others = goodTraffic(
    async () => {
      await sleep(5);
      await client.call.getModel({});
    },
    over,
    1,
  );
  const seen: { readonly name: string; readonly answer: RawAnswer; readonly growth: number }[] = [];
  try {
    // The first round pays for what stays: code, zlib's tables, buffers of the allocator.
    for (let round = 0; round <= ROUNDS[size]; round++)
      for (const attack of attacks) {
        const one = { name: attack.name, ...(await watch(edge, attack)) };
        if (round > 0) seen.push(one);
      }
  } finally {
    stop();
    await others;
    client.close();
  }
  return judge(seen, await others, size);
}

function judge(
  seen: readonly { readonly name: string; readonly answer: RawAnswer; readonly growth: number }[],
  { calls, failed }: Traffic,
  size: Size,
): Outcome {
  const wrong = seen.filter(({ answer }) => answer.status !== RESOURCE_EXHAUSTED);
  // Where a core goes away for a moment the slowest tells of the machine; it is stated, and the 99th percentile judged.
  const { p99, max: slowest } = percentiles(seen.map(({ answer }) => answer.ms));
  const growth = Math.max(...seen.map((one) => one.growth));
  return {
    holds: wrong.length === 0 && p99 <= ANSWER_MS[size] && growth <= MAX_RSS_GROWTH && failed === 0,
    figure:
      `${seen.length - wrong.length} of ${seen.length} refused, p99 ${p99.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms, ` +
      `RSS at most +${(growth / 1e6).toFixed(1)} MB each, others ${failed} of ${calls} failed` +
      (wrong[0] === undefined ? '' : ` (${wrong[0].name}: status ${wrong[0].answer.status})`),
  };
}

/** Attacks once; memory is read all the while, and afterwards what is left counts too. */
async function watch(
  edge: Edge,
  attack: Attack,
): Promise<{ readonly answer: RawAnswer; readonly growth: number }> {
  const { rss } = await edge.state();
  let peak = rss;
  const look = setInterval(() => (peak = Math.max(peak, edge.rssNow())), 2);
  try {
    const answer = await attack.send(edge);
    peak = Math.max(peak, edge.rssNow());
    return { answer, growth: peak - rss };
  } finally {
    clearInterval(look);
  }
}

async function send(
  { address }: Edge,
  bytes: Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawAnswer> {
  const session = openSession(address);
  try {
    const call = openCall(session, rewardPath('Score'), headers);
    const answer = answerOf(call, HANG_MS);
    call.write(bytes);
    return await answer;
  } finally {
    session.destroy();
  }
}

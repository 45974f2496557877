import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { groupBy } from '@dmoerm/core';
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
const ANSWER_MS = 50;
/** Few attempts on a machine that does other things besides tell less. */
const NOISE: Readonly<Record<Size, number>> = { quick: 4, short: 2, full: 1 };
const ROUNDS: Readonly<Record<Size, number>> = { quick: 3, short: 10, full: 50 };
const HANG_MS = 2_000;
/** Zeros, which gzip makes 1,000 times smaller. */
const BOMB_BYTES = 64 << 20;

/** A message that is larger than the server takes: declared, sent, or wrapped in gzip. */
interface Attack {
  readonly name: string;
  send(edge: Edge): Promise<RawAnswer>;
}

/** Refused for what it is, not for its size: how long that takes is the machine's part of the answer times. */
const PLAIN: Attack = { name: 'malformed', send: (edge) => send(edge, frame(Buffer.of(0)), {}, true) };

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
    'limit + 1 B to declared 4 GiB, gzip bomb 1 : 1,000: RESOURCE_EXHAUSTED <= 50 ms (medians; p99 beyond that of plain refusals), RSS <= +8 MB each, others unaffected',
  measure: (size) => attackAll(LIMIT, ATTACKS, size, 1),
  // Without a limit, which the server can be told, only the bomb shows in memory before its sender stops; the first one does.
  control: () => attackAll(-1, ATTACKS.slice(3, 4), 'quick', 0),
};

/** An attack that is over. */
interface Attacked {
  readonly name: string;
  readonly answer: RawAnswer;
  /** Resident bytes at their most, beyond those before. */
  readonly growth: number;
}

/** @param warmUps rounds before those that count: they pay for what stays, such as code, zlib's tables, buffers of the allocator. */
async function attackAll(
  limit: number,
  attacks: readonly Attack[],
  size: Size,
  warmUps: number,
): Promise<Outcome> {
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
  const seen: Attacked[] = [];
  const plainMs: number[] = [];
  try {
    for (let round = -warmUps; round < ROUNDS[size]; round++)
      for (const attack of attacks) {
        const plain = await PLAIN.send(edge);
        const one = { name: attack.name, ...(await watch(edge, attack)) };
        if (round < 0) continue;
        plainMs.push(plain.ms);
        seen.push(one);
      }
  } finally {
    stop();
    await others;
    client.close();
  }
  return judge(seen, plainMs, await others, size);
}

/** The median of every kind is held against the threshold, and the 99th percentile less what plain refusals take at theirs. */
function judge(
  seen: readonly Attacked[],
  plainMs: readonly number[],
  { calls, failed }: Traffic,
  size: Size,
): Outcome {
  const wrong = seen.filter(({ answer }) => answer.status !== RESOURCE_EXHAUSTED);
  const medians = [...groupBy(seen, ({ name }) => name).values()].map(
    (own) => percentiles(own.map(({ answer }) => answer.ms)).p50,
  );
  const median = Math.max(...medians);
  const { p99, max: slowest } = percentiles(seen.map(({ answer }) => answer.ms));
  const plain = percentiles(plainMs);
  const inTime = median <= ANSWER_MS * NOISE[size] && p99 - plain.p99 <= ANSWER_MS * NOISE[size];
  const growth = Math.max(...seen.map((one) => one.growth));
  return {
    holds: wrong.length === 0 && inTime && growth <= MAX_RSS_GROWTH && failed === 0,
    figure:
      `${seen.length - wrong.length} of ${seen.length} refused, ms: medians up to ${median.toFixed(0)}, p99 ${p99.toFixed(0)}, slowest ${slowest.toFixed(0)} ` +
      `(plain refusals: ${plain.p50.toFixed(0)}, ${plain.p99.toFixed(0)}, ${plain.max.toFixed(0)}), ` +
      `RSS at most +${(growth / 1e6).toFixed(1)} MB each, others ${failed} of ${calls} failed` +
      (wrong[0] === undefined ? '' : ` (${wrong[0].name}: status ${wrong[0].answer.status})`),
  };
}

/** Attacks once; memory is read all the while, and afterwards what is left counts too. */
async function watch(edge: Edge, attack: Attack): Promise<Omit<Attacked, 'name'>> {
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
  complete = false,
): Promise<RawAnswer> {
  const session = openSession(address);
  try {
    const call = openCall(session, rewardPath('Score'), headers);
    const answer = answerOf(call, HANG_MS);
    if (complete) call.end(bytes);
    else call.write(bytes);
    return await answer;
  } finally {
    session.destroy();
  }
}

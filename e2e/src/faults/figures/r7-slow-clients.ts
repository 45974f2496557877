import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { rewardV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import type { Figure, Outcome, Size } from '../figure';
import { startEdge, type Edge, type EdgeOptions } from '../support/edge';
import { goodTraffic } from '../support/good-traffic';
import { openCall, openSession, prefix, rewardPath } from '../support/raw-call';

interface Scale {
  readonly streams: number;
  readonly idle: number;
  /** The server's limits of time, milliseconds; the real ones take too long for `quick`. */
  readonly limitMs: number;
  /** When all must be gone, milliseconds after the last was opened. */
  readonly cutMs: number;
  /** p99 with slow clients over p99 without. The threshold is for a quiet machine. */
  readonly slowdown: number;
  readonly baselineMs: number;
}

const SCALES: Readonly<Record<Size, Scale>> = {
  quick: { streams: 300, idle: 60, limitMs: 1_000, cutMs: 3_000, slowdown: 5, baselineMs: 1_000 },
  short: { streams: 1_000, idle: 200, limitMs: 8_000, cutMs: 10_000, slowdown: 2, baselineMs: 5_000 },
  full: { streams: 1_000, idle: 200, limitMs: 8_000, cutMs: 10_000, slowdown: 1.25, baselineMs: 20_000 },
};
const STREAMS_PER_CONNECTION = 100;
const MAX_RSS_GROWTH = 32 << 20;

/** Clients that begin and do not end: messages of which one byte came, connections without a call. */
export const R7: Figure = {
  id: 'R7',
  title: 'slow clients',
  threshold:
    '1,000 half-sent messages and 200 idle connections: all cut <= 10 s, good p99 <= 1.25 x, RSS <= +32 MB',
  measure: (size) => attack('guarded', SCALES[size]),
  control: (size) => attack('stock', SCALES[size]),
};

async function attack(kind: EdgeOptions['kind'], scale: Scale): Promise<Outcome> {
  const { limitMs, cutMs, slowdown, baselineMs } = scale;
  await using edge = await startEdge({ kind, limits: { bodyTimeoutMs: limitMs, firstCallMs: limitMs } });
  const client = connect(rewardV1.RewardServiceService, { target: edge.address });
  const call = (): Promise<unknown> => client.call.getModel({});
  try {
    await goodTraffic(call, sleep(baselineMs / 2));
    const before = await goodTraffic(call, sleep(baselineMs));
    const { rss } = await edge.state();
    const slow = await openSlow(edge, scale);
    try {
      // While all of them are open; garbage of the good traffic counts neither before nor now.
      const growth = (await edge.state()).rss - rss;
      const settled = Promise.race([slow.allCut, sleep(cutMs)]);
      const during = await goodTraffic(call, settled);
      const left = slow.left();
      const ratio = during.p99 / before.p99;
      return {
        holds: left === 0 && during.failed === 0 && ratio <= slowdown && growth <= MAX_RSS_GROWTH,
        figure:
          `${left} of ${scale.streams + scale.idle} left after ${cutMs / 1e3} s, good p99 ${ratio.toFixed(2)} x ` +
          `(${during.failed} of ${during.calls} failed), RSS ${(growth / 1e6).toFixed(1)} MB`,
      };
    } finally {
      slow.close();
    }
  } finally {
    client.close();
  }
}

/** Opens half-sent unary calls and half-sent messages of streams, connections without a call, sockets without a word. */
async function openSlow(
  { address }: Edge,
  { streams, idle }: Scale,
): Promise<{ readonly allCut: Promise<unknown>; left(): number; close(): void }> {
  const [host = '', port = ''] = address.split(':');
  const cuts: Promise<unknown>[] = [];
  let left = 0;
  const closers: (() => void)[] = [];
  const track = (connection: {
    once(event: 'close', listener: () => void): unknown;
    destroy(): void;
  }): void => {
    left += 1;
    cuts.push(
      new Promise<void>((resolve) =>
        connection.once('close', () => {
          left -= 1;
          resolve();
        }),
      ),
    );
    closers.push(() => connection.destroy());
  };
  for (let i = 0; i < streams / STREAMS_PER_CONNECTION; i++) {
    const session = openSession(address);
    closers.push(() => session.destroy());
    await once(session, 'connect');
    for (let n = 0; n < Math.min(STREAMS_PER_CONNECTION, streams); n++) {
      const stream = openCall(session, rewardPath(n % 2 === 0 ? 'Score' : 'StreamScore'));
      track(stream);
      stream.resume();
      stream.write(Buffer.concat([prefix(100), Buffer.alloc(1)]));
    }
  }
  for (let i = 0; i < idle; i++) {
    const connection =
      i % 2 === 0
        ? openSession(address)
        : connectTcp({ host, port: Number(port) }).on('error', () => undefined);
    if ('resume' in connection) connection.resume();
    track(connection);
    await once(connection, 'connect');
  }
  return {
    allCut: Promise.all(cuts),
    left: () => left,
    close: () => closers.forEach((close) => close()),
  };
}

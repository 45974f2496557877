import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { rewardV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import type { Figure, Outcome, Size } from '../figure';
import { distOf, startEdge, type Edge, type EdgeOptions } from '../support/edge';
import { goodTraffic } from '../support/good-traffic';
import type { SlowClients } from '../support/slow-clients';

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

/** Opens them, from a process of their own: the good callers' times must not be those of the attack. */
async function openSlow(
  { address }: Edge,
  { streams, idle }: Scale,
): Promise<{ readonly allCut: Promise<unknown>; left(): number; close(): void }> {
  const options: SlowClients = { address, streams, idle };
  const child = fork(distOf('slow-clients.js'), [JSON.stringify(options)], { stdio: 'inherit' });
  let left = Infinity;
  let tellCut = (): void => undefined;
  const allCut = new Promise<void>((resolve) => (tellCut = resolve));
  child.on('message', (message) => {
    ({ left } = message as { left: number });
    if (left === 0) tellCut();
  });
  await once(child, 'message');
  return { allCut, left: () => left, close: () => child.kill('SIGKILL') };
}

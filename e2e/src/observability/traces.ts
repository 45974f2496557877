import { checkTraces, type Roots, type TraceReport } from '../faults/support/trace-check';
import { KIND } from '../faults/support/trace-sink';
import type { Report } from './report';
import type { Tracing } from './tracing';
import { until } from './until';
import { traffic, type World } from './world';

/** Spans wait for five seconds in a service, for one in the collector. */
const ARRIVED_MS = 30_000;
const CLIENT: Roots = { kind: KIND.client, method: 'dmoerm.reward.v1.RewardService/Score' };

/**
 * Sends calls and looks at all of their traces, edge by edge, as Jaeger gives them.
 * @param tries times that it may take: after a collector was away, what is sent before a service has found it again is lost.
 */
export async function checkEdges(
  world: World,
  tracing: Tracing,
  report: Report,
  { says, tries }: { readonly says: string; readonly tries: number },
): Promise<void> {
  for (let n = 1; ; n++) {
    const { whole, seen } = await sendTraced(world, tracing);
    if (!whole && n < tries) continue;
    const when = n === 1 ? '' : `, at attempt ${n}`;
    return report.check(`${says}: every edge of every call is in Jaeger`, whole, seen + when);
  }
}

async function sendTraced(world: World, tracing: Tracing): Promise<{ whole: boolean; seen: string }> {
  const begin = Date.now();
  const calls = await traffic(world, { seed: begin % 1000 });
  const look = async (): Promise<TraceReport> => checkTraces(await tracing.spans(begin), CLIENT);
  const isComplete = (found: TraceReport): boolean => found.requests === calls.length && isWhole(found);
  const ask = async (): Promise<TraceReport | null> => {
    const found = await look();
    return isComplete(found) ? found : null;
  };
  const found = (await until(ask, ARRIVED_MS)) ?? (await look());
  return { whole: isComplete(found), seen: describe(found, calls.length) };
}

/** The collector dies while calls are made. */
export async function checkDeadCollector(world: World, tracing: Tracing, report: Report): Promise<void> {
  const sending = traffic(world, { seconds: 15, seed: 41 });
  const before = traffic(world, { seconds: 3, seed: 42 });
  await before;
  await tracing.collector.kill();
  const calls = await sending;
  const failed = calls.filter(({ code, reason }) => code !== 'OK' && reason !== 'EMPTY_CANDIDATE');
  report.check(
    'the collector is killed under load: no call fails',
    failed.length === 0,
    `${failed.length} of ${calls.length}`,
  );
  await tracing.collector.restart();
}

/** Points of latencies lead to traces that are there. */
export async function checkExemplars(
  { prometheus }: World,
  tracing: Tracing,
  report: Report,
  fromMs: number,
): Promise<void> {
  const exemplars = await prometheus.exemplars(
    'dmoerm_request_duration_seconds_bucket{service="router"}',
    fromMs,
  );
  const ids = [...new Set(exemplars.map(({ labels }) => labels['trace_id'] ?? ''))];
  const there = (await Promise.all(ids.map((id) => tracing.has(id)))).filter(Boolean).length;
  report.check('exemplars of latencies lead to traces in Jaeger', there > 0, `${there} of ${ids.length}`);
}

function isWhole({ incomplete, orphans, badLinks, unconventional }: TraceReport): boolean {
  return incomplete.length + orphans + badLinks + unconventional.length === 0;
}

function describe(
  { requests, incomplete, orphans, forwards, badLinks, unconventional }: TraceReport,
  calls: number,
): string {
  const wrong = [...new Set([...incomplete, ...unconventional])].slice(0, 3).join(', ');
  return (
    `${requests - incomplete.length} of ${calls} calls${wrong === '' ? '' : ` (${wrong})`}, ${orphans} orphans, ` +
    `${badLinks} of ${forwards} batches with wrong links`
  );
}

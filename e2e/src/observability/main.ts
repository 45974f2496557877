import { mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { findTool } from './backend';
import { CONDITIONS, NOT_MADE } from './conditions';
import { writeConversations } from './conversations';
import { Mesh } from './mesh';
import { Prometheus } from './prometheus';
import { panelQueries, ruleNames } from './questions';
import { Report } from './report';
import { takeScreenshots } from './screenshots';
import { checkDeadCollector, checkEdges, checkExemplars } from './traces';
import { Tracing } from './tracing';
import { alerted, traffic, type World } from './world';

const ROOT = resolve(__dirname, '..', '..', '..');
/** Git-ignored; what the last run left. */
const FOLDER = join(ROOT, '.cache', 'observability');
const BUNDLE = join(ROOT, 'bundles', 'default');

/** Dashboards, rules and traces of a mesh under load and in trouble, seen through the real Prometheus, collector and Jaeger. */
async function main(report: Report): Promise<void> {
  const program = findTool('prometheus');
  if (program === null) {
    return report.check('there is a Prometheus', false, 'Debian: apt-get install prometheus');
  }
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const began = Date.now();
  await using prometheus = await Prometheus.start(program, FOLDER);
  await using tracing = await startTracing(report);
  const otlpEndpoint = tracing?.endpoint ?? null;
  const fixture = { folder: FOLDER, bundle: BUNDLE, items: '' };
  await using mesh = await Mesh.start(fixture, prometheus, otlpEndpoint);
  const conversations = writeConversations(FOLDER, BUNDLE);
  const world: World = {
    folder: FOLDER,
    bundle: BUNDLE,
    conversations,
    prometheus,
    mesh,
    otlpEndpoint,
    since: began,
  };
  if (tracing === null) await traffic(world);
  else {
    await checkEdges(world, tracing, report, { says: 'a mesh under load', tries: 1 });
    await checkExemplars(world, tracing, report, began);
    await checkDeadCollector(world, tracing, report);
    await checkEdges(world, tracing, report, { says: 'a collector that is back', tries: 4 });
  }
  // Who else is at work on this machine makes event loops late.
  const early = await prometheus.query('ALERTS{alertname!="DmoermEventLoopLate"}');
  report.check(
    'a mesh that is well: no alert',
    early.length === 0,
    early.map(({ metric }) => metric['alertname']).join(', '),
  );
  for (const { says, alerts, make } of CONDITIONS) {
    const now = { ...world, since: Date.now() };
    await make(now);
    for (const alert of alerts) report.check(`${says}: ${alert}`, await alerted(now, alert, 0));
  }
  for (const [alert, why] of Object.entries(NOT_MADE))
    if (await alerted(world, alert, 0)) report.check(`on the way: ${alert}`, true);
    else report.skip(alert, `${why}; promtool fires it`);
  await checkAnswers(world, report, began);
  await takeScreenshots(FOLDER, prometheus, report);
}

/** A collector and Jaeger, if they have been built. */
async function startTracing(report: Report): Promise<Tracing | null> {
  const [jaeger, otelcol] = [findTool('jaeger'), findTool('otelcol')];
  if (jaeger !== null && otelcol !== null) return Tracing.start({ jaeger, otelcol }, FOLDER);
  report.skip(
    'traces',
    'no jaeger or otelcol in .tools/bin: node deploy/scripts/observability-tools.mjs (needs go)',
  );
  return null;
}

/** Every query of every panel, and every rule, must have had an answer. */
async function checkAnswers(world: World, report: Report, fromMs: number): Promise<void> {
  const answers = async (query: string): Promise<string | null> => {
    const series = await world.prometheus.range(query, fromMs);
    const samples = series.flatMap(({ values }) => values).filter(([, value]) => value !== 'NaN').length;
    return samples === 0 ? null : `${series.length} series, ${samples} samples`;
  };
  report.check('control: what nobody measures has no answer', (await answers('dmoerm_nothing')) === null);
  for (const { where, expr } of panelQueries()) {
    const found = await answers(expr);
    report.check(where, found !== null, found ?? expr);
  }
  for (const name of ruleNames().recorded) {
    const found = await answers(name);
    report.check(name, found !== null, found ?? 'no samples');
  }
}

const report = new Report();
void main(report)
  .catch((error: unknown) => report.check('it went to its end', false, String(error)))
  .then(() => process.exit(report.end()));

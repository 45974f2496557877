import { writeFileSync } from 'node:fs';
import { createClient } from '@dmoerm/client';
import { burstsOf, drawArrivals, parseFault, runLoad, scoreWork, summarise } from '@dmoerm/load';
import type { LoadRun, Summary, TimedEvent } from '@dmoerm/load';
import { InvalidArgumentError, type Command } from 'commander';
import { EXIT } from './exit';
import { readItems, readOracle } from './load-files';

const CONNECT_MS = 10_000;

interface LoadOptions {
  readonly address: string;
  readonly rate: number;
  readonly seconds: number;
  readonly ranks: number;
  readonly skew: number;
  readonly seed: number;
  readonly deadline: number;
  readonly oracle?: string;
  readonly fault: readonly TimedEvent[];
  readonly json: boolean;
  readonly calls?: string;
}

/** `dmoerm bench load FILE`. */
export function addBenchCommand(program: Command): void {
  program
    .command('bench')
    .description('Measurements of a running mesh.')
    .command('load')
    .description(
      'Sends conversations (lines as for `dmoerm score`) at times drawn beforehand, whether or not answers come:\n' +
        'bursts of all candidates of one conversation, from several ranks at once. Latencies count from the intended time.',
    )
    .argument('<file>', 'file of JSON lines to draw from')
    .requiredOption('--address <host:port>', 'a running router')
    .option('--rate <bursts>', 'bursts a second', positive, 10)
    .option('--seconds <s>', 'for how long', positive, 10)
    .option('--ranks <n>', 'callers that share the candidates of a conversation', positive, 1)
    .option('--skew <s>', 'the n-th task of the file comes in proportion to 1 / n^s', Number, 0)
    .option('--seed <n>', 'equal seeds send the same at the same times', Number, 1)
    .option('--deadline <s>', 'longest time of a call, seconds', positive, 5)
    .option('--oracle <file>', 'right answers: what `dmoerm score --output jsonl` wrote for the file')
    .option(
      '--fault <s:action:pid>',
      'kill, term, stop or cont a process after s seconds; repeatable',
      fault,
      [],
    )
    .option('--json', 'print the summary as JSON', false)
    .option('--calls <file>', 'write a record per call, JSON lines')
    .action(async (file: string, options: LoadOptions) => {
      const { seconds, json, calls } = options;
      const run = await load(file, options);
      const summary = summarise(run.calls, seconds);
      if (calls !== undefined)
        writeFileSync(
          calls,
          run.calls.map((call) => `${JSON.stringify({ beganAt: run.beganAt, ...call })}\n`).join(''),
        );
      process.stdout.write(json ? `${JSON.stringify(summary)}\n` : format(summary));
      process.exitCode = summary.good === summary.calls ? EXIT.done : EXIT.itemsFailed;
    });
}

async function load(file: string, options: LoadOptions): Promise<LoadRun> {
  const items = readItems(file);
  const { rate: burstsPerS, seconds, seed, ranks, skew, address, deadline } = options;
  const arrivals = drawArrivals({ seed, burstsPerS, seconds }, burstsOf(items, { ranks, skew }));
  const oracle = options.oracle === undefined ? undefined : readOracle(options.oracle);
  const client = createClient({ address, timeoutMs: deadline * 1e3, patient: false });
  try {
    await client.waitForReady(Date.now() + CONNECT_MS);
    process.stderr.write(`sending ${arrivals.length} calls in ${seconds} s\n`);
    return await runLoad(arrivals, scoreWork(client, oracle), options.fault);
  } finally {
    client.close();
  }
}

function format({ calls, good, wrong, degraded, goodputPerS, outcomes, lateMs }: Summary): string {
  const ms = (value: number): string => value.toFixed(1);
  const lines = Object.entries(outcomes).map(
    ([name, { calls: own, latencyMs: l }]) =>
      `  ${name}: ${own}; ms: p50 ${ms(l.p50)}, p90 ${ms(l.p90)}, p99 ${ms(l.p99)}, p99.9 ${ms(l.p999)}, max ${ms(l.max)}`,
  );
  return (
    `${calls} calls, ${good} good (${goodputPerS.toFixed(1)} a second), ${wrong} wrong, ${degraded} degraded\n` +
    `${lines.join('\n')}\n  sent late by, ms: p99 ${ms(lateMs.p99)}, max ${ms(lateMs.max)}\n`
  );
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

function fault(text: string, before: readonly TimedEvent[]): TimedEvent[] {
  return [...before, parseFault(text)];
}

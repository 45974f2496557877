import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CallRecord } from '@dmoerm/load';
import { exitStatus, run } from '../../serve';
import type { Fixture } from './fixture';

/** What to send. */
export interface LoadOptions {
  /** Of the routers. */
  readonly target: string;
  readonly burstsPerS: number;
  readonly seconds: number;
  /** Calls of a burst. */
  readonly ranks: number;
  /** Longest time of a call, seconds. */
  readonly deadlineS: number;
  readonly seed: number;
}

/** A call, with the time of day at which it was to be sent. */
export type TimedCall = CallRecord & { readonly at: number };

/** A load generator that is sending. */
export interface LoadProcess {
  /** All calls, when all are over. */
  readonly calls: Promise<readonly TimedCall[]>;
}

let runs = 0;

/** Scores the items of the fixture while nothing is wrong: the right answers. Returns their file. */
export async function makeOracle({ folder, items }: Fixture, target: string): Promise<string> {
  const { child, log } = run(['score', items, '--address', target, '--output', 'jsonl']);
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  if ((await exitStatus(child)) !== 0) throw new Error(`no oracle: ${log()}`);
  const file = join(folder, `oracle-${++runs}.jsonl`);
  writeFileSync(file, text);
  return file;
}

/**
 * Starts `dmoerm bench load` in a process of its own; resolves when it begins to send.
 * @param oracle the file of right answers; without it none counts as wrong.
 */
export async function startLoad(
  fixture: Fixture,
  oracle: string | null,
  options: LoadOptions,
  env: Readonly<Record<string, string>> = {},
): Promise<LoadProcess> {
  const { target, burstsPerS, seconds, ranks, deadlineS, seed } = options;
  const file = join(fixture.folder, `calls-${++runs}.jsonl`);
  const flags = {
    address: target,
    rate: burstsPerS,
    seconds,
    ranks,
    deadline: deadlineS,
    seed,
    ...(oracle === null ? {} : { oracle }),
    calls: file,
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const { child, log } = run(['bench', 'load', fixture.items, ...args], env);
  const status = exitStatus(child);
  // Its first words say that it begins.
  await Promise.race([child.stderr && once(child.stderr, 'data'), status]);
  const calls = status.then((code) => {
    if (code !== 0 && code !== 1) throw new Error(`the load generator failed: ${log()}`);
    return readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as CallRecord & { beganAt: number })
      .map((call) => ({ ...call, at: call.beganAt + call.atMs }));
  });
  return { calls };
}

/** Calls by what is wrong with them, in words: `0 failed, 0 wrong, 3 degraded of 1,200`. */
export function describeCalls(calls: readonly CallRecord[]): string {
  const failed = calls.filter(({ code }) => code !== 'OK');
  const kinds = [...new Set(failed.map(({ code, reason }) => `${code} ${reason}`))].join(', ');
  const count = (key: 'wrong' | 'degraded'): number => calls.filter((call) => call[key]).length;
  return `${failed.length} failed${kinds === '' ? '' : ` (${kinds})`}, ${count('wrong')} wrong, ${count('degraded')} degraded of ${calls.length}`;
}

import { readFileSync } from 'node:fs';
import type { BenchRecord } from '../records';

/** Processor time, seconds: a line. */
export interface Line {
  readonly perCall: number;
  /** Of each candidate; of an expert's engine each token. */
  readonly perUnit: number;
}

/** What calls cost, as `npm run bench -- costs` measured it. */
export interface Costs {
  readonly router: Line;
  /** Beside its engine per call; of one core of its engine per token. */
  readonly expert: Line;
  readonly aggregator: Line;
  /** Rows of the engine: a line through calls of several sizes. */
  readonly tokens: Line;
  /** The bundle that was served. */
  readonly bundle: string;
}

const S_PER_US = 1e-6;

/** Reads the records of `npm run bench -- costs --json FILE`. @throws Error naming what is missing. */
export function readCosts(file: string): Costs {
  const records = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as BenchRecord)
    .filter(({ bench }) => bench === 'costs');
  const value = (part: string, metric: string): number => {
    const found = records.find((record) => record.case === part && record.metric === metric);
    if (found === undefined)
      throw new Error(
        `${file} has no ${metric} of ${part}; make it anew with npm run bench -- costs --json ${file}`,
      );
    return found.value;
  };
  const line = (part: string, unit: string): Line => ({
    perCall: value(part, 'processor time per call') * S_PER_US,
    perUnit: value(part, `processor time per ${unit}`) * S_PER_US,
  });
  return {
    router: line('router', 'candidate'),
    expert: line('expert', 'token'),
    aggregator: line('aggregator', 'candidate'),
    tokens: { perCall: value('tokens', 'rows of a prompt'), perUnit: value('tokens', 'rows of a candidate') },
    bundle: String(records[0]?.parameters?.['bundle']),
  };
}

/** Seconds that `units` cost in `calls`. */
export function costOf({ perCall, perUnit }: Line, calls: number, units: number): number {
  return perCall * calls + perUnit * units;
}

import { linearRegression, linearRegressionLine, rSquared } from 'simple-statistics';
import type { BenchRecord } from '../records';
import type { Part, Sample } from './measure';

/** A part's processor time for a call. */
export interface Cost {
  /** Microseconds of any call, however small. */
  readonly perCall: number;
  /** Microseconds of each unit in it. */
  readonly perUnit: number;
  /** What a unit is. */
  readonly unit: 'candidate' | 'token';
  /** Share of the differences between shapes that the line explains, 0 to 1. */
  readonly fit: number;
}

const US_PER_S = 1e6;

/** The line through what calls of several shapes cost a part. The expert's work is tokens, that of all others candidates. */
export function fitCost(samples: readonly Sample[], part: Part): Cost {
  const unit = part === 'expert' ? 'token' : 'candidate';
  const points = samples.map(({ candidates, calls, tokens, cpuSeconds }) => [
    unit === 'token' ? tokens / calls : candidates,
    (cpuSeconds[part] / calls) * US_PER_S,
  ]);
  const { m, b } = linearRegression(points);
  // A negative cost of a call is noise around none.
  const line = { m, b: Math.max(0, b) };
  return { perCall: line.b, perUnit: line.m, unit, fit: rSquared(points, linearRegressionLine(line)) };
}

/** Costs as records, by part; and what the calls looked like. */
export function costRecords(
  samples: readonly Sample[],
  parts: readonly Part[],
  { bundle, note }: { readonly bundle: string; readonly note: string },
): BenchRecord[] {
  const record = (name: string, metric: string, unit: string, value: number, more = {}): BenchRecord => ({
    bench: 'costs',
    case: name,
    parameters: { bundle, ...more },
    metric,
    unit,
    value,
    note,
  });
  const costs = parts.flatMap((part) => {
    const { perCall, perUnit, unit, fit } = fitCost(samples, part);
    const parameters = { part, fit: Number(fit.toFixed(3)) };
    return [
      record(part, 'processor time per call', 'µs', perCall, parameters),
      record(part, `processor time per ${unit}`, 'µs', perUnit, parameters),
    ];
  });
  // The prompt is computed once for all its candidates.
  const rows = linearRegression(samples.map(({ candidates, calls, tokens }) => [candidates, tokens / calls]));
  const tokens = [
    record('tokens', 'rows of a prompt', 'tokens', rows.b),
    record('tokens', 'rows of a candidate', 'tokens', rows.m),
  ];
  const latencies = samples.map(({ candidates, calls, latencyMs }) =>
    record(`calls of ${candidates}`, 'latency, p50', 'ms', latencyMs.p50, { candidates, calls }),
  );
  const memory = Object.entries(samples.at(-1)?.memoryBytes ?? {}).map(([part, bytes]) =>
    record(part, 'resident memory', 'MiB', bytes / 2 ** 20, { part }),
  );
  return [...costs, ...tokens, ...memory, ...latencies];
}

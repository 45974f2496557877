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
  /** How far the line is from a shape's cost at most, as a share of it. */
  readonly farthest: number;
}

const US_PER_S = 1e6;

/** The line through what calls of several shapes cost a part. The expert's work is tokens, that of all others candidates. */
export function fitCost(samples: readonly Sample[], part: Part): Cost {
  const unit = part === 'expert' ? 'token' : 'candidate';
  const points = samples.map(({ candidates, calls, tokens, cpuSeconds }): [number, number] => [
    unit === 'token' ? tokens / calls : candidates,
    (cpuSeconds[part] / calls) * US_PER_S,
  ]);
  const { start, slope } = relativeLine(points);
  const farthest = Math.max(...points.map(([x, y]) => Math.abs((start + slope * x) / y - 1)));
  return { perCall: start, perUnit: slope, unit, farthest };
}

/**
 * The line through points of positive values that minimises the squares of its relative errors: small calls count as much as large ones. Neither
 * start nor slope is negative; noise around none is none.
 */
function relativeLine(points: readonly (readonly [x: number, y: number])[]): {
  start: number;
  slope: number;
} {
  const sum = (value: (u: number, v: number) => number): number =>
    points.reduce((total, [x, y]) => total + value(1 / y, x / y), 0);
  const [u, v, uu, uv, vv] = [
    sum((a) => a),
    sum((_, b) => b),
    sum((a) => a * a),
    sum((a, b) => a * b),
    sum((_, b) => b * b),
  ];
  const start = (u * vv - v * uv) / (uu * vv - uv * uv);
  const slope = (v * uu - u * uv) / (uu * vv - uv * uv);
  if (start < 0) return { start: 0, slope: v / vv };
  return slope < 0 ? { start: u / uu, slope: 0 } : { start, slope };
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
    const { perCall, perUnit, unit, farthest } = fitCost(samples, part);
    const parameters = { part, farthest: Number(farthest.toFixed(2)) };
    return [
      record(part, 'processor time per call', 'µs', perCall, parameters),
      record(part, `processor time per ${unit}`, 'µs', perUnit, parameters),
    ];
  });
  // The prompt is computed once for all its candidates.
  const rows = relativeLine(samples.map(({ candidates, calls, tokens }) => [candidates, tokens / calls]));
  const tokens = [
    record('tokens', 'rows of a prompt', 'tokens', rows.start),
    record('tokens', 'rows of a candidate', 'tokens', rows.slope),
  ];
  const latencies = samples.map(({ candidates, calls, latencyMs }) =>
    record(`calls of ${candidates}`, 'latency, p50', 'ms', latencyMs.p50, { candidates, calls }),
  );
  const memory = Object.entries(samples.at(-1)?.memoryBytes ?? {}).map(([part, bytes]) =>
    record(part, 'resident memory', 'MiB', bytes / 2 ** 20, { part }),
  );
  return [...costs, ...tokens, ...memory, ...latencies];
}

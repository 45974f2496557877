import { groupBy } from '@dmoerm/core';
import { build } from 'hdr-histogram-js';
import type { CallRecord } from './run-load';

/** Latencies, milliseconds, to three digits. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** The calls of a run, counted. */
export interface Summary {
  readonly calls: number;
  /** Answered, right and not degraded. */
  readonly good: number;
  readonly wrong: number;
  readonly degraded: number;
  /** Good answers a second. */
  readonly goodputPerS: number;
  /** By outcome, `OK` or e.g. `RESOURCE_EXHAUSTED QUEUE_FULL`; latencies from the intended send time. */
  readonly outcomes: Readonly<Record<string, { readonly calls: number; readonly latencyMs: Percentiles }>>;
  /** How late calls were sent: if this is not small, the generator was the bottleneck. */
  readonly lateMs: Percentiles;
}

/** @param seconds for which calls were sent. */
export function summarise(calls: readonly CallRecord[], seconds: number): Summary {
  const good = calls.filter(({ code, wrong, degraded }) => code === 'OK' && !wrong && !degraded).length;
  const groups = groupBy(calls, ({ code, reason }) => (code === 'OK' ? code : `${code} ${reason}`));
  return {
    calls: calls.length,
    good,
    wrong: calls.filter(({ wrong }) => wrong).length,
    degraded: calls.filter(({ degraded }) => degraded).length,
    goodputPerS: good / seconds,
    outcomes: Object.fromEntries(
      [...groups].map(([name, own]) => [
        name,
        { calls: own.length, latencyMs: percentiles(own.map(({ latencyMs }) => latencyMs)) },
      ]),
    ),
    lateMs: percentiles(calls.map(({ lateMs }) => lateMs)),
  };
}

const US_PER_MS = 1e3;
const LONGEST_US = 3_600e6;

/** Percentiles of times in milliseconds; of none they are 0. */
export function percentiles(timesMs: readonly number[]): Percentiles {
  const histogram = build({
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST_US,
    numberOfSignificantValueDigits: 3,
  });
  for (const ms of timesMs)
    histogram.recordValue(Math.min(LONGEST_US, Math.max(0, Math.round(ms * US_PER_MS))));
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / US_PER_MS;
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: histogram.maxValue / US_PER_MS };
}

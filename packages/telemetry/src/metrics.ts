import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { OpenMetricsContentType } from 'prom-client';
import { METRICS } from './names.generated';

type Declared = typeof METRICS;
type Kind<D extends { type: string; labelNames: readonly string[] }> = D['type'] extends 'histogram'
  ? Histogram<D['labelNames'][number]>
  : D['type'] extends 'counter'
    ? Counter<D['labelNames'][number]>
    : Gauge<D['labelNames'][number]>;

/** All metrics of this process: ours, and the usual ones of a process and of node. Only OpenMetrics has exemplars. */
export const registry = new Registry<OpenMetricsContentType>();
registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
collectDefaultMetrics({ register: registry });

function register(declared: Declared[keyof Declared]): unknown {
  const { type, ...rest } = declared;
  const settings = { ...rest, labelNames: [...rest.labelNames], registers: [registry] };
  if (type === 'counter') return new Counter(settings);
  if (type === 'gauge') return new Gauge(settings);
  return new Histogram({ ...settings, buckets: [...declared.buckets] });
}

/** The metrics of telemetry.yaml, one typed prom-client object each, e.g. `metrics.batchItems.observe({ task }, 16)`. */
export const metrics = Object.fromEntries(
  Object.entries(METRICS).map(([key, declared]) => [key, register(declared)]),
) as { readonly [K in keyof Declared]: Kind<Declared[K]> };

/**
 * Observes a value with the trace that it came from.
 * @param histogram one whose declaration says `exemplars`.
 * @param traceId 32 hexadecimal digits; null: not recorded, no exemplar.
 */
export function observeTraced<L extends string>(
  histogram: Histogram<L>,
  labels: Record<L, string>,
  value: number,
  traceId: string | null,
): void {
  // The types of prom-client know exemplars with the metric's own labels only.
  const exemplarLabels = (traceId === null ? {} : { trace_id: traceId }) as Partial<Record<L, string>>;
  histogram.observe({ labels, value, exemplarLabels });
}

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { METRICS } from './names.generated';

type Declared = typeof METRICS;
type Kind<D extends { type: string; labelNames: readonly string[] }> = D['type'] extends 'histogram'
  ? Histogram<D['labelNames'][number]>
  : D['type'] extends 'counter'
    ? Counter<D['labelNames'][number]>
    : Gauge<D['labelNames'][number]>;

/** All metrics of this process. */
export const registry = new Registry();

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

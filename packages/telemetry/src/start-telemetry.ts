import { identity } from './identity';
import { registry } from './metrics';
import { startMetricsServer } from './metrics-server';
import { startTracing } from './tracing';

/** What a process says about its telemetry. */
export interface TelemetryOptions {
  /** Name of the process, e.g. `expert`: the `service` of its metrics, spans and log lines. */
  readonly service: string;
  /** OTLP gRPC collector, e.g. `http://127.0.0.1:4317`; null exports no traces. */
  readonly otlpEndpoint: string | null;
  /** Port of the Prometheus page, 0 for a free one; null serves none. */
  readonly metricsPort: number | null;
  /** Address to serve that page on; loopback if not given. */
  readonly metricsHost?: string;
  /** Share of new traces that are recorded, 0 to 1; a caller's decision wins, and a batch goes with its calls. */
  readonly sampleRatio: number;
}

/** The running telemetry of a process. */
export interface Telemetry {
  /** host:port of the Prometheus page. */
  readonly metricsAddress: string | null;
  /** Flushes and stops; never throws, and takes no longer than about two seconds when the collector is dead. */
  shutdown(): Promise<void>;
}

/**
 * Starts tracing and the metrics page; once per process, before the first call.
 * @throws DmoermError if the metrics address cannot be had.
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  identity.service = options.service;
  registry.setDefaultLabels({ service: options.service });
  const page =
    options.metricsPort === null
      ? null
      : await startMetricsServer(options.metricsHost ?? '127.0.0.1', options.metricsPort);
  const stopTracing = startTracing(options.service, options.otlpEndpoint, options.sampleRatio);
  return {
    metricsAddress: page?.address ?? null,
    shutdown: async () => {
      await Promise.all([stopTracing(), page?.close()]);
    },
  };
}

import { DiagLogLevel, diag, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-node';
import { LinkSampler } from './link-sampler';
import { logger } from './logger';

const EXPORT_TIMEOUT_MS = 5_000;
/** A collector that does not answer may hold up the end of the process for this long at most. */
const SHUTDOWN_TIMEOUT_MS = 2_000;

/** The tracer for all spans of dmoerm; without `startTelemetry` its spans are no-ops. */
export const tracer = trace.getTracer('dmoerm');

/**
 * Registers context propagation (W3C) and, if there is an endpoint, the batched OTLP export. Without one nothing is ever
 * sent, but trace ids still pass through and appear in the log.
 * @returns how to flush and stop; it never throws and never takes longer than two seconds.
 */
export function startTracing(
  service: string,
  otlpEndpoint: string | null,
  sampleRatio: number,
): () => Promise<void> {
  const root = otlpEndpoint === null ? new AlwaysOffSampler() : new TraceIdRatioBasedSampler(sampleRatio);
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.namespace': 'dmoerm' }),
    sampler: new ParentBasedSampler({ root: new LinkSampler(root) }),
    // Evaluation events come one per candidate and capability.
    spanLimits: { eventCountLimit: 8192 },
    spanProcessors: otlpEndpoint === null ? [] : [exportTo(otlpEndpoint)],
  });
  provider.register({ propagator: new W3CTraceContextPropagator() });
  return async () => {
    const late = new Promise<void>((resolve) => setTimeout(resolve, SHUTDOWN_TIMEOUT_MS).unref());
    await Promise.race([provider.shutdown().catch(() => undefined), late]);
  };
}

function exportTo(url: string): BatchSpanProcessor {
  const warn = (message: string): void =>
    logger.warn({ otel: message.slice(0, 200) }, 'traces could not be exported');
  const quiet = (): void => undefined;
  diag.setLogger(
    { error: warn, warn, info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  return new BatchSpanProcessor(new OTLPTraceExporter({ url, timeoutMillis: EXPORT_TIMEOUT_MS }));
}

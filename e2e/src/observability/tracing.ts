import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReceivedSpan } from '../faults/support/trace-sink';
import { Backend, accepts, answers, freePort } from './backend';
import { readTraces } from './otlp-json';
import { COLLECTOR } from './questions';

/** Traces that Jaeger gives at once, and holds. */
const MOST_TRACES = 20_000;

/** A collector with the configuration that is shipped, and a Jaeger behind it. */
export class Tracing implements AsyncDisposable {
  private constructor(
    /** Where services send spans to. */
    readonly endpoint: string,
    /** Of Jaeger's API. */
    readonly url: string,
    readonly collector: Backend,
    private readonly jaeger: Backend,
  ) {}

  static async start(programs: { jaeger: string; otelcol: string }, folder: string): Promise<Tracing> {
    const [query, otlp, listen] = await Promise.all([freePort(), freePort(), freePort()]);
    const url = `http://127.0.0.1:${query}`;
    const jaegerFile = join(folder, 'jaeger.yaml');
    writeFileSync(jaegerFile, JSON.stringify(jaegerConfig(query, otlp)));
    const jaeger = await Backend.start({
      name: 'jaeger',
      folder,
      command: [programs.jaeger, `--config=${jaegerFile}`],
      isReady: () => answers(`${url}/api/v3/services`),
    });
    try {
      const collector = await Backend.start({
        name: 'otelcol',
        folder,
        command: [programs.otelcol, `--config=${COLLECTOR}`],
        env: {
          LISTEN_OTLP: `127.0.0.1:${listen}`,
          OTEL_EXPORTER_OTLP_HTTP: `http://127.0.0.1:${otlp}`,
        },
        isReady: () => accepts(listen),
      });
      return new Tracing(`http://127.0.0.1:${listen}`, url, collector, jaeger);
    } catch (error) {
      await jaeger[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** All spans of all traces that began in a time (milliseconds), as Jaeger's query API gives them. */
  async spans(fromMs: number, toMs = Date.now()): Promise<ReceivedSpan[]> {
    const spans = new Map<string, ReceivedSpan>();
    for (const service of await this.services())
      for (const span of await this.find(service, fromMs, toMs)) spans.set(span.spanId, span);
    return [...spans.values()];
  }

  /** Whether Jaeger has a trace. */
  async has(traceId: string): Promise<boolean> {
    return (await fetch(`${this.url}/api/v3/traces/${traceId}`)).ok;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.collector[Symbol.asyncDispose]();
    await this.jaeger[Symbol.asyncDispose]();
  }

  private async services(): Promise<string[]> {
    const response = await fetch(`${this.url}/api/v3/services`);
    return ((await response.json()) as { services?: string[] }).services ?? [];
  }

  private async find(service: string, fromMs: number, toMs: number): Promise<ReceivedSpan[]> {
    const parameters = new URLSearchParams({
      'query.service_name': service,
      'query.start_time_min': new Date(fromMs).toISOString(),
      'query.start_time_max': new Date(toMs).toISOString(),
      'query.num_traces': `${MOST_TRACES}`,
      'query.raw_traces': 'true',
    });
    const response = await fetch(`${this.url}/api/v3/traces?${String(parameters)}`);
    if (response.status === 404) return [];
    const { result } = (await response.json()) as { result?: unknown };
    if (result === undefined) throw new Error(`Jaeger gives no traces of the ${service}: ${response.status}`);
    return readTraces(result);
  }
}

/** Jaeger with everything in memory, on ports of our own. */
function jaegerConfig(query: number, otlp: number): object {
  return {
    service: {
      extensions: ['jaeger_storage', 'jaeger_query'],
      pipelines: { traces: { receivers: ['otlp'], exporters: ['jaeger_storage_exporter'] } },
      telemetry: { logs: { level: 'warn' }, metrics: { level: 'none' } },
    },
    extensions: {
      jaeger_storage: { backends: { memory: { memory: { max_traces: MOST_TRACES } } } },
      jaeger_query: {
        storage: { traces: 'memory' },
        http: { endpoint: `127.0.0.1:${query}` },
        grpc: { endpoint: '127.0.0.1:0' },
      },
    },
    receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${otlp}` } } } },
    exporters: { jaeger_storage_exporter: { trace_storage: 'memory' } },
  };
}

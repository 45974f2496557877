import { DmoermError } from '@dmoerm/core';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Registry } from 'prom-client';
import { metrics, registry } from './metrics';

const RESOLUTION_MS = 10;

/** A running `/metrics` page. */
export interface MetricsServer {
  /** host:port that it listens on. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * Serves `GET /metrics`, as OpenMetrics to those that accept it, else as Prometheus text.
 * @throws DmoermError UNAVAILABLE, reason ADDRESS_IN_USE, or INVALID_ARGUMENT, reason BAD_ADDRESS.
 */
export async function startMetricsServer(host: string, port: number): Promise<MetricsServer> {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    // The histogram measures timers that are due every RESOLUTION_MS; the lag is what is beyond that.
    metrics.eventLoopLagSeconds.set(Math.max(0, delay.percentile(99) / 1e9 - RESOLUTION_MS / 1e3));
    delay.reset();
    const open = request.headers.accept?.includes('application/openmetrics-text') === true;
    void registry
      .metrics()
      .then((page) =>
        response
          .writeHead(200, { 'content-type': open ? registry.contentType : Registry.PROMETHEUS_CONTENT_TYPE })
          .end(open ? page : toPrometheusText(page)),
      );
  });
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (cause) {
    const busy = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    throw new DmoermError({
      code: busy ? 'UNAVAILABLE' : 'INVALID_ARGUMENT',
      reason: busy ? 'ADDRESS_IN_USE' : 'BAD_ADDRESS',
      message: busy
        ? `metrics address ${host}:${port} is in use; choose another metrics port, or 0 for a free one`
        : `cannot serve metrics on ${host}:${port}; use an address of this machine, e.g. 127.0.0.1`,
      metadata: { address: `${host}:${port}` },
      cause,
    });
  }
  delay.enable();
  const bound = server.address() as AddressInfo;
  return {
    address: `${host}:${bound.port}`,
    close: async () => {
      delay.disable();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** The older format has no exemplars and no end mark, and names a counter in full. */
function toPrometheusText(page: string): string {
  return page
    .replace(/ # \{.*$/gm, '')
    .replace(/^# EOF\n/m, '')
    .replace(/^# HELP (\S+) (.*)\n# TYPE \1 counter$/gm, '# HELP $1_total $2\n# TYPE $1_total counter');
}

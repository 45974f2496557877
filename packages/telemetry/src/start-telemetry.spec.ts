import { DmoermError } from '@dmoerm/core';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { metrics, observeTraced, startTelemetry } from './index';
import type { Telemetry } from './index';

const PACKAGE = join(__dirname, '..');
const QUIET = { service: 'expert', otlpEndpoint: null, metricsPort: null, sampleRatio: 1 };

let telemetry: Telemetry | null = null;
afterEach(async () => {
  await telemetry?.shutdown();
  telemetry = null;
});

/** Runs a script that has this package as `t`; tracing is global to a process, so each case gets its own. */
function run(script: string) {
  const source = `const t = require(${JSON.stringify(PACKAGE)}); (async () => { ${script} })();`;
  return spawnSync(process.execPath, ['-e', source], { encoding: 'utf8', timeout: 20_000 });
}

describe('names', () => {
  it('in code and documentation are those of telemetry.yaml', () => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/generate.mjs', '--check'], {
      cwd: PACKAGE,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});

describe('the metrics page', () => {
  it('shows the declared metrics with the service, on loopback', async () => {
    telemetry = await startTelemetry({ ...QUIET, metricsPort: 0 });
    metrics.batchItems.observe({ task: 'chat' }, 16);
    expect(telemetry.metricsAddress).toMatch(/^127\.0\.0\.1:\d+$/);
    const page = await (await fetch(`http://${telemetry.metricsAddress}/metrics`)).text();
    expect(page).toContain('dmoerm_batch_items_bucket{le="16",service="expert",task="chat"} 1');
    expect(page).toMatch(/dmoerm_event_loop_lag_seconds\{service="expert"\} [\d.e-]+/);
    expect((await fetch(`http://${telemetry.metricsAddress}/`)).status).toBe(404);
  });

  it('speaks OpenMetrics to those that accept it, and to others the older format without its novelties', async () => {
    telemetry = await startTelemetry({ ...QUIET, metricsPort: 0 });
    observeTraced(metrics.requestDurationSeconds, { method: 'm', code: 'OK' }, 0.1, 'abc');
    const page = async (accept: string) => {
      const response = await fetch(`http://${telemetry?.metricsAddress}/metrics`, { headers: { accept } });
      return `${response.headers.get('content-type')}\n${await response.text()}`;
    };
    const open = await page('application/openmetrics-text;version=1.0.0,text/plain;q=0.5');
    expect(open).toMatch(/^application\/openmetrics-text/);
    expect(open).toMatch(/ 1 # \{trace_id="abc"\} 0\.1 /);
    expect(open).toMatch(/# TYPE dmoerm_candidates counter$/m);
    expect(open).toMatch(/# EOF\n$/);
    const plain = await page('*/*');
    expect(plain).toMatch(/^text\/plain/);
    expect(plain).toContain('# TYPE dmoerm_candidates_total counter');
    expect(plain).toContain('process_cpu_seconds_total');
    expect(plain).not.toMatch(/trace_id|EOF/);
  });

  it('is not served unless asked', async () => {
    telemetry = await startTelemetry(QUIET);
    expect(telemetry.metricsAddress).toBeNull();
  });

  it('says which address is in use and what to do', async () => {
    telemetry = await startTelemetry({ ...QUIET, metricsPort: 0 });
    const port = Number(telemetry.metricsAddress?.split(':')[1]);
    const error: unknown = await startTelemetry({ ...QUIET, metricsPort: port }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DmoermError);
    expect(error).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'ADDRESS_IN_USE',
      metadata: { address: `127.0.0.1:${port}` },
    });
  });
});

describe('tracing', () => {
  it('is harmless when the collector is dead: the process ends by itself, soon, with 0', () => {
    const start = Date.now();
    const { status, stdout } = run(`
      const all = await t.startTelemetry({ service: 'x', otlpEndpoint: 'http://127.0.0.1:9', metricsPort: null, sampleRatio: 1 });
      for (let i = 0; i < 100; i++) t.tracer.startSpan('s').end();
      await all.shutdown();
      console.log('over');
    `);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'over\n' });
    expect(Date.now() - start).toBeLessThan(8_000);
  });

  it('sends nothing without an endpoint, whatever the environment says', () => {
    const { status, stdout } = run(`
      process.env.OTEL_TRACES_EXPORTER = 'otlp';
      const net = require('node:net');
      net.Socket.prototype.connect = () => { console.log('connected'); process.exit(1); };
      const all = await t.startTelemetry({ service: 'x', otlpEndpoint: null, metricsPort: null, sampleRatio: 1 });
      t.tracer.startSpan('s').end();
      await all.shutdown();
    `);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });

  it('puts the ids of the active span into the log, and passes them on as traceparent', () => {
    const { stdout, stderr } = run(`
      const { context, propagation, trace } = require('@opentelemetry/api');
      await t.startTelemetry({ service: 'x', otlpEndpoint: null, metricsPort: null, sampleRatio: 0 });
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const parent = propagation.extract(context.active(), { traceparent });
      context.with(trace.setSpan(parent, t.tracer.startSpan('s', {}, parent)), () => {
        const carrier = {};
        propagation.inject(context.active(), carrier);
        console.log(carrier.traceparent);
        t.logger.info('hello');
      });
    `);
    expect(stdout).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01\n$/);
    expect(JSON.parse(stderr)).toMatchObject({
      service: 'x',
      msg: 'hello',
      level: 'info',
      trace_id: '0af7651916cd43dd8448eb211c80319c',
    });
  });
});

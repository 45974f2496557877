import { DmoermError } from '@dmoerm/core';
import { registry } from '@dmoerm/telemetry';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { SpanKind } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { EVALUATE, Loopback, OK_RESPONSE, failureOf, request } from './spec-support/loopback';

const loopback = new Loopback();
const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const METHOD = EVALUATE.slice(1);

beforeAll(() => provider.register({ propagator: new W3CTraceContextPropagator() }));
beforeEach(() => exporter.reset());
afterEach(() => loopback.close());
afterAll(() => provider.shutdown());

describe('spans', () => {
  it('make one tree over two hops: CLIENT, SERVER, CLIENT, SERVER', async () => {
    const leaf = await loopback.serveExpert(async () => OK_RESPONSE);
    const next = loopback.expert(leaf.address);
    const relay = await loopback.serveExpert(async (message, context) => {
      await Promise.resolve();
      return next.call.evaluate(message, { context });
    });
    await loopback.expert(relay.address).call.evaluate(request());
    const spans = exporter.getFinishedSpans();
    const path = [];
    for (
      let at = spans.find((s) => s.parentSpanContext === undefined);
      at;
      at = childOf(at.spanContext().spanId)
    )
      path.push(at);
    expect(path.map(({ kind }) => kind)).toEqual([
      SpanKind.CLIENT,
      SpanKind.SERVER,
      SpanKind.CLIENT,
      SpanKind.SERVER,
    ]);
    expect(new Set(path.map((s) => s.name))).toEqual(new Set([METHOD]));
    expect(new Set(path.map((s) => s.attributes['dmoerm.request.id'])).size).toBe(1);
    const [host, port] = relay.address.split(':');
    expect(path[0]?.attributes).toMatchObject({
      'rpc.system.name': 'grpc',
      'rpc.method': METHOD,
      'rpc.status_code': 'OK',
      'server.address': host,
      'server.port': Number(port),
    });

    function childOf(id: string) {
      return spans.find(({ parentSpanContext }) => parentSpanContext?.spanId === id);
    }
  });

  it('count a refusal as the caller’s error and not as the server’s, and number the attempts', async () => {
    let calls = 0;
    const { address } = await loopback.serveExpert(async () => {
      calls += 1;
      const code = calls < 2 ? 'UNAVAILABLE' : 'NOT_FOUND';
      throw new DmoermError({ code, reason: 'X', message: 'x' });
    });
    await failureOf(loopback.expert(address).call.evaluate(request()));
    const servers = exporter.getFinishedSpans().filter(({ kind }) => kind === SpanKind.SERVER);
    expect(servers.map(({ attributes }) => attributes)).toEqual([
      expect.objectContaining({
        'dmoerm.attempt': 1,
        'rpc.status_code': 'UNAVAILABLE',
        'error.type': 'UNAVAILABLE',
      }),
      expect.not.objectContaining({ 'error.type': 'NOT_FOUND' }),
    ]);
    expect(servers[1]?.attributes).toMatchObject({ 'dmoerm.attempt': 2, 'rpc.status_code': 'NOT_FOUND' });
    const client = exporter.getFinishedSpans().find(({ kind }) => kind === SpanKind.CLIENT);
    expect(client?.attributes).toMatchObject({ 'error.type': 'NOT_FOUND' });
  });
});

describe('metrics', () => {
  it('count each call once, by method and status, and none as in flight afterwards', async () => {
    registry.resetMetrics();
    const { address } = await loopback.serveExpert(async ({ task }) => {
      if (task !== 'chat')
        throw new DmoermError({ code: 'NOT_FOUND', reason: 'UNKNOWN_TASK', message: 'no such task' });
      return OK_RESPONSE;
    });
    const client = loopback.expert(address);
    await client.call.evaluate(request());
    await client.call.evaluate(request());
    await failureOf(client.call.evaluate(request('other')));
    const page = await registry.metrics();
    expect(page).toContain(`dmoerm_request_duration_seconds_count{method="${METHOD}",code="OK"} 2`);
    expect(page).toContain(`dmoerm_request_duration_seconds_count{method="${METHOD}",code="NOT_FOUND"} 1`);
    expect(page).toContain('dmoerm_inflight_requests 0');
  });

  it('carry the trace of a recorded call as exemplar', async () => {
    registry.resetMetrics();
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE);
    await loopback.expert(address).call.evaluate(request());
    const traceId = exporter.getFinishedSpans()[0]?.spanContext().traceId;
    expect(await registry.metrics()).toMatch(
      new RegExp(`^dmoerm_request_duration_seconds_bucket.* 1 # \\{trace_id="${traceId}"\\} `, 'm'),
    );
  });
});

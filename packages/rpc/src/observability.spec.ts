import { DmoermError } from '@dmoerm/core';
import { expertV1 } from '@dmoerm/protos';
import { registry } from '@dmoerm/telemetry';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { SpanKind } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { Metadata } from '@grpc/grpc-js';
import { connect } from './connect';
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

describe('the parent of a server span', () => {
  const TRACE = '0af7651916cd43dd8448eb211c80319c';
  const SPAN = 'b7ad6b7169203331';
  const bin = (trace = TRACE) => Buffer.from(`0000${trace}01${SPAN}0201`, 'hex');

  /** The server span of a call with this metadata. */
  async function spanOf(entries: Readonly<Record<string, string | Buffer>>) {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE);
    const metadata = new Metadata();
    for (const [key, value] of Object.entries(entries)) metadata.set(key, value);
    const same = (bytes: Buffer): Buffer => bytes;
    const client = loopback.stock(address);
    await new Promise((resolve) =>
      client.makeUnaryRequest(EVALUATE, same, same, Buffer.alloc(0), metadata, resolve),
    );
    return exporter.getFinishedSpans().find(({ kind }) => kind === SpanKind.SERVER);
  }

  it.each([
    ['traceparent', { traceparent: `00-${TRACE}-${SPAN}-01` }],
    ['grpc-trace-bin', { 'grpc-trace-bin': bin() }],
    [
      'traceparent where both are',
      { traceparent: `00-${TRACE}-${SPAN}-01`, 'grpc-trace-bin': bin('f'.repeat(32)) },
    ],
  ])('is that of %s', async (_, entries) => {
    const parent = (await spanOf(entries))?.parentSpanContext;
    expect(parent).toMatchObject({ traceId: TRACE, spanId: SPAN, traceFlags: 1, isRemote: true });
  });

  it.each([
    ['cut off', bin().subarray(0, 20)],
    ['of another version', Buffer.concat([Buffer.of(1), bin().subarray(1)])],
    ['of a trace id of zeros', bin('0'.repeat(32))],
    ['nothing', Buffer.alloc(0)],
  ])('is none for a grpc-trace-bin that is %s', async (_, bytes) => {
    const span = await spanOf({ 'grpc-trace-bin': bytes });
    expect(span?.attributes['rpc.status_code']).toBe('OK');
    expect(span?.parentSpanContext).toBeUndefined();
  });
});

it.each([
  ['127.0.0.1:1', { 'server.address': '127.0.0.1', 'server.port': 1 }],
  ['dns:///router.example:50051', { 'server.address': 'router.example', 'server.port': 50_051 }],
  ['ipv4:127.0.0.1:1,127.0.0.1:2', { 'server.address': 'ipv4:127.0.0.1:1,127.0.0.1:2' }],
])('the span of a call to %s says where it goes, even if nobody is there', async (target, expected) => {
  const { call, close } = connect(expertV1.ExpertServiceService, { target, timeoutMs: 50 });
  await failureOf(call.evaluate(request()));
  close();
  expect(exporter.getFinishedSpans()[0]?.attributes).toMatchObject(expected);
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

import { metrics } from '@dmoerm/telemetry';
import { SpanKind } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Operation } from './document';
import { HttpCall } from './http-call';

const SCORE: Operation = {
  method: 'POST',
  path: '/v1/score',
  open: false,
  forTrainers: false,
  parameters: [],
  body: null,
};
const TRACE = '0af7651916cd43dd8448eb211c80319c';

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
let server: Server;
/** Answers a call. */
let answer: (call: HttpCall, response: ServerResponse) => void = (_, response) => void response.end();
/** Resolves when the next call has ended. */
let ended: Promise<HttpCall>;

beforeAll(async () => {
  provider.register({ propagator: new W3CTraceContextPropagator() });
  server = createServer((incoming, response) => {
    ended = new Promise((resolve) => answer(new HttpCall(SCORE, incoming, response, resolve), response));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
beforeEach(() => exporter.reset());
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await provider.shutdown();
});

function send(headers: Record<string, string> = {}) {
  const sent = request({
    port: (server.address() as AddressInfo).port,
    method: 'POST',
    headers,
    agent: false,
  });
  sent.end();
  return sent;
}

/** Work that ends with an error of its own when nobody waits for it any more. */
async function untilOver({ signal }: HttpCall): Promise<never> {
  await once(signal, 'abort');
  throw new Error('no more use');
}

describe('a call over HTTP', () => {
  it('has a SERVER span in the caller’s trace, with the words of the conventions and no text', async () => {
    answer = (call, response) => {
      call.code = 'UNAVAILABLE';
      response.writeHead(503).end();
    };
    const headers = { 'x-request-id': 'mine', traceparent: `00-${TRACE}-b7ad6b7169203331-01` };
    const [response] = (await once(send(headers), 'response')) as [IncomingMessage];
    response.resume();
    const call = await ended;
    expect(call.requestId).toBe('mine');
    const [span] = exporter.getFinishedSpans();
    expect(span).toMatchObject({ name: 'POST /v1/score', kind: SpanKind.SERVER, status: { code: 2 } });
    expect(span?.spanContext().traceId).toBe(TRACE);
    expect(span?.attributes).toEqual({
      'http.request.method': 'POST',
      'http.route': '/v1/score',
      'http.response.status_code': 503,
      'error.type': 'UNAVAILABLE',
      'dmoerm.request.id': 'mine',
    });
  });

  it.each(['', 'a b', 'x'.repeat(200)])('has an id of its own where the caller’s is %j', async (id) => {
    answer = (_, response) => void response.end();
    const [response] = (await once(send(id === '' ? {} : { 'x-request-id': id }), 'response')) as [
      IncomingMessage,
    ];
    response.resume();
    expect((await ended).requestId).toMatch(/^[\da-f-]{36}$/);
  });

  it('is over when its caller has gone: the work is told, the place in the metrics is free', async () => {
    let arrive: (call: HttpCall) => void = () => undefined;
    const arrived = new Promise<HttpCall>((resolve) => (arrive = resolve));
    answer = (call) => arrive(call);
    const sent = send();
    sent.on('error', () => undefined);
    const call = await arrived;
    expect((await metrics.inflightRequests.get()).values[0]?.value).toBe(1);
    const work = call.within(() => untilOver(call));
    sent.destroy();
    await expect(work).rejects.toMatchObject({ code: 'CANCELLED' });
    await ended;
    expect((await metrics.inflightRequests.get()).values[0]?.value).toBe(0);
    expect(exporter.getFinishedSpans()[0]?.attributes['error.type']).toBe('CANCELLED');
  });

  it('is told to come back elsewhere when the server cannot wait for it any more', async () => {
    answer = (call, response) => {
      call.within(() => untilOver(call)).catch((error: { reason: string }) => response.end(error.reason));
      call.abandon();
    };
    const [response] = (await once(send(), 'response')) as [IncomingMessage];
    const [text] = (await once(response, 'data')) as [Buffer];
    expect(text.toString()).toBe('DRAINING');
  });
});

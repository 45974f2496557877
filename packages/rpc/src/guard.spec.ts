import { expertV1, googleRpc } from '@dmoerm/protos';
import { logger } from '@dmoerm/telemetry';
import { Client, Server, ServerCredentials, compressionAlgorithms, credentials } from '@grpc/grpc-js';
import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import type { ClientHttp2Stream } from 'node:http2';
import { DEFAULT_LIMITS } from './start-server';
import {
  EVALUATE,
  Loopback,
  OK_RESPONSE,
  failureOf,
  item,
  request,
  sendBytes,
} from './spec-support/loopback';
import { fromStatus } from './status';

const loopback = new Loopback();
beforeAll(() => {
  logger.level = 'silent';
});
afterEach(() => loopback.close());

/** Field 1, a string of 100 bytes of which two are there. */
const GARBAGE = Buffer.from([0x0a, 100, 0x61, 0x62]);

async function stockServer(): Promise<string> {
  const server = new Server();
  server.addService(expertV1.ExpertServiceService, {
    evaluate: (_call: unknown, reply: (e: null, r: unknown) => void) => reply(null, OK_RESPONSE),
  });
  loopback.defer(() => server.forceShutdown());
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return `127.0.0.1:${port}`;
}

/** Opens a call by hand, beneath gRPC. */
function openCall(address: string, headers: Record<string, string> = {}): ClientHttp2Stream {
  const session = connectHttp2(`http://${address}`);
  session.on('error', () => undefined);
  loopback.defer(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': EVALUATE,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => undefined);
  return stream;
}

async function statusOf(stream: ClientHttp2Stream): Promise<{ code: string; reason: string }> {
  stream.resume();
  const [headers] = (await once(stream, 'response')) as [Record<string, string>];
  const details = Buffer.from(headers['grpc-status-details-bin'] ?? '', 'base64');
  return {
    code: String(headers['grpc-status']),
    reason: fromStatus(googleRpc.Status.decode(details)).reason,
  };
}

function frame(body: Buffer, compressed = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

describe('a request that is no valid protobuf', () => {
  it('is INVALID_ARGUMENT', async () => {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE);
    expect(await sendBytes(loopback.stock(address), EVALUATE, GARBAGE)).toMatchObject({ code: 3 });
  });

  it('would be INTERNAL on a stock server', async () => {
    expect(await sendBytes(loopback.stock(await stockServer()), EVALUATE, GARBAGE)).toMatchObject({
      code: 13,
    });
  });

  it('is INVALID_ARGUMENT on the health service and on a stream too', async () => {
    const { address } = await loopback.serveStream(async function* (requests) {
      for await (const { itemId } of requests) yield { itemId, result: undefined };
    });
    const client = loopback.stock(address);
    expect(await sendBytes(client, '/grpc.health.v1.Health/Check', Buffer.from([0x0f]))).toMatchObject({
      code: 3,
    });
    const same = (bytes: Buffer): Buffer => bytes;
    const stream = client.makeBidiStreamRequest('/dmoerm.reward.v1.RewardService/StreamScore', same, same);
    stream.write(GARBAGE);
    expect((await once(stream, 'error'))[0]).toMatchObject({ code: 3 });
  });

  it.each<[string, Buffer, Record<string, string>]>([
    ['broken gzip', frame(Buffer.from('no gzip'), 1), { 'grpc-encoding': 'gzip' }],
    ['a timeout that is none', frame(Buffer.alloc(0)), { 'grpc-timeout': 'soon' }],
  ])('is INVALID_ARGUMENT with %s', async (_, body, headers) => {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE);
    const call = openCall(address, headers);
    call.end(body);
    expect(await statusOf(call)).toEqual({ code: '3', reason: 'MALFORMED_REQUEST' });
  });
});

describe('a request of which only a part arrives', () => {
  const PART = frame(Buffer.alloc(100)).subarray(0, 6);

  it('is cut off by the body timeout, and its stream is closed', async () => {
    const limits = { ...DEFAULT_LIMITS, bodyTimeoutMs: 50 };
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE, { limits });
    const call = openCall(address);
    call.write(PART);
    expect(await statusOf(call)).toEqual({ code: '4', reason: 'BODY_TIMEOUT' });
    if (!call.closed) await once(call, 'close');
  });

  it('is cut off in a stream too, after whole messages; the stream is closed', async () => {
    const limits = { ...DEFAULT_LIMITS, bodyTimeoutMs: 50 };
    const { address } = await loopback.serveStream(
      async function* (requests) {
        for await (const { itemId } of requests) yield { itemId, result: undefined };
      },
      { limits },
    );
    const call = openCall(address, { ':path': '/dmoerm.reward.v1.RewardService/StreamScore' });
    const trailers = once(call, 'trailers');
    const closed = once(call, 'close');
    call.resume();
    call.write(Buffer.concat([frame(Buffer.alloc(0)), PART]));
    expect((await trailers)[0]).toMatchObject({ 'grpc-status': '4' });
    await closed;
  });

  it('stays open on a stock server', async () => {
    const call = openCall(await stockServer());
    call.write(PART);
    const window = new Promise<string>((resolve) => setTimeout(resolve, 300, 'still open'));
    expect(await Promise.race([once(call, 'response'), window])).toBe('still open');
  });
});

describe('an answer that nobody takes', () => {
  it('is thrown away after its time, with its stream', async () => {
    const limits = { ...DEFAULT_LIMITS, answerTimeoutMs: 50 };
    const large = expertV1.EvaluateResponse.create({ capabilities: ['x'.repeat(1 << 20)] });
    const { address } = await loopback.serveExpert(async () => large, { limits });
    const call = openCall(address);
    call.end(frame(Buffer.alloc(0)));
    await once(call, 'close');
    expect(call.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });
});

describe('a request over the size limit', () => {
  const limits = { ...DEFAULT_LIMITS, maxMessageBytes: 1024 };

  it('is RESOURCE_EXHAUSTED, MESSAGE_TOO_LARGE, without advice to retry', async () => {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE, { limits });
    const error = await failureOf(loopback.expert(address).call.evaluate(request('x'.repeat(2048))));
    expect(error).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'MESSAGE_TOO_LARGE',
      retryAfterMs: null,
    });
    await expect(loopback.expert(address).call.evaluate(request())).resolves.toEqual(OK_RESPONSE);
  });

  it('is refused by its declared size, before the bytes come', async () => {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE, { limits });
    const call = openCall(address);
    call.write(Buffer.from([0, 0x40, 0, 0, 0]));
    expect(await statusOf(call)).toEqual({ code: '8', reason: 'MESSAGE_TOO_LARGE' });
  });

  it('is refused by its size after decompression', async () => {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE, { limits });
    const client = new Client(address, credentials.createInsecure(), {
      'grpc.default_compression_algorithm': compressionAlgorithms.gzip,
    });
    loopback.defer(() => client.close());
    expect(await sendBytes(client, EVALUATE, Buffer.alloc(1 << 20))).toMatchObject({ code: 8 });
  });
});

describe('a handler that throws something else than a DmoermError', () => {
  it('answers INTERNAL with the request id and none of the text', async () => {
    const { address } = await loopback.serveExpert(() => {
      throw new Error('prompt: my secret');
    });
    const error = await failureOf(loopback.expert(address).call.evaluate(request()));
    expect(error).toMatchObject({ code: 'INTERNAL', reason: 'UNEXPECTED' });
    expect(error.message).toMatch(/^internal error; the log of request [\w-]{36} says more$/);
  });

  it('ends a stream in the same way', async () => {
    const { address } = await loopback.serveStream(async function* () {
      throw new Error('my secret');
    });
    const responses = loopback.reward(address).call.streamScore(
      (async function* () {
        yield item('a');
      })(),
    );
    expect((await failureOf(responses.next())).message).not.toContain('secret');
  });
});

describe('the request id', () => {
  it.each([
    ['of the caller is kept', 'trainer-7:42', /^trainer-7:42$/],
    ['of the caller is replaced if it is not plain', 'a b', /^[\w-]{36}$/],
    ['is made up if there is none', undefined, /^[\w-]{36}$/],
  ])('%s', async (_, id, expected) => {
    let seen = '';
    const { address } = await loopback.serveExpert(async (_request, { requestId }) => {
      seen = requestId;
      return OK_RESPONSE;
    });
    const call = openCall(address, id === undefined ? {} : { 'x-request-id': id });
    call.resume();
    call.end(frame(Buffer.alloc(0)));
    await once(call, 'end');
    expect(seen).toMatch(expected);
  });
});

import { DmoermError } from '@dmoerm/core';
import { constants, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { Loopback, OK_RESPONSE, failureOf, item, request } from './spec-support/loopback';

const loopback = new Loopback();
afterEach(() => loopback.close());

const NOBODY = '127.0.0.1:9';

describe('a unary call', () => {
  it('throws the DmoermError that the handler threw', async () => {
    const error = new DmoermError({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'QUEUE_FULL',
      message: 'the queue is full; wait',
      metadata: { task: 'chat' },
      field: 'items[1]',
      retryAfterMs: 250,
    });
    const { address } = await loopback.serveExpert(() => Promise.reject(error));
    const { code, reason, message, metadata, field, retryAfterMs } = error;
    const received = await failureOf(loopback.expert(address).call.evaluate(request()));
    expect(received).toMatchObject({ code, reason, message, metadata, field, retryAfterMs });
  });

  it('is given up at the timeout of the client', async () => {
    const { address } = await loopback.serveExpert(() => new Promise(() => undefined), {
      drain: { lameDuckMs: 0, graceMs: 0 },
    });
    const client = loopback.expert(address, { timeoutMs: 100 });
    expect(await failureOf(client.call.evaluate(request()))).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  it('has the time that the client says, fractions of a second too', async () => {
    let calls = 0;
    const { address } = await loopback.serveExpert(async () => {
      calls += 1;
      return OK_RESPONSE;
    });
    // grpc-js takes the fraction for nanoseconds unless all nine digits stand there: of the second it would leave 5 ns.
    for (const timeoutMs of [9_500, 500])
      await expect(loopback.expert(address, { timeoutMs }).call.evaluate(request())).resolves.toEqual(
        OK_RESPONSE,
      );
    expect(calls).toBe(2);
  });

  it('is retried when a replica says UNAVAILABLE, and not when it says anything else', async () => {
    const attempts = new Map<string, number>();
    const { address } = await loopback.serveExpert(async ({ task }) => {
      const attempt = (attempts.get(task) ?? 0) + 1;
      attempts.set(task, attempt);
      if (attempt > 2) return OK_RESPONSE;
      const code = task === 'busy' ? 'RESOURCE_EXHAUSTED' : 'UNAVAILABLE';
      throw new DmoermError({ code, reason: 'TRY', message: 'not now' });
    });
    const client = loopback.expert(address);
    await expect(client.call.evaluate(request('loading'))).resolves.toEqual(OK_RESPONSE);
    expect(await failureOf(client.call.evaluate(request('busy')))).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
    });
    expect(attempts).toEqual(
      new Map([
        ['loading', 3],
        ['busy', 1],
      ]),
    );
  });

  it('is not retried by the caller of a caller that has retried already', async () => {
    let leafCalls = 0;
    const leaf = await loopback.serveExpert(async () => {
      leafCalls += 1;
      throw new DmoermError({ code: 'UNAVAILABLE', reason: 'LOADING', message: 'not yet' });
    });
    const next = loopback.expert(leaf.address);
    const relay = await loopback.serveExpert(async (message, context) =>
      next.call.evaluate(message, { context }).catch((cause: DmoermError) => {
        throw new DmoermError({ code: 'UNAVAILABLE', reason: 'NO_EXPERT', message: 'no expert', cause });
      }),
    );
    const error = await failureOf(loopback.expert(relay.address).call.evaluate(request()));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NO_EXPERT' });
    expect(leafCalls).toBe(4);
  });
});

/**
 * Begins an answer and drops the connection, or closes the call without a status, the first `breaks` times; then answers. Returns how
 * often it was asked.
 */
async function startBreaker(
  breaks: number,
  how: 'drops' | { readonly closes: number } = 'drops',
): Promise<{ address: string; asked(): number }> {
  let asked = 0;
  const server = createServer();
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    asked += 1;
    const broken = asked <= breaks;
    if (broken && how !== 'drops') return stream.close(how.closes);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: !broken });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    const emptyMessage = Buffer.alloc(5);
    if (broken) stream.write(emptyMessage, () => setTimeout(() => stream.session?.destroy(), 20));
    else stream.end(emptyMessage);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  loopback.defer(() => void server.close());
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked };
}

describe('an answer that breaks off', () => {
  it('is asked for again, though gRPC counts the call as answered', async () => {
    const { address, asked } = await startBreaker(2);
    await expect(loopback.expert(address).call.evaluate(request())).resolves.toEqual(OK_RESPONSE);
    expect(asked()).toBe(3);
  });

  it('is an error where it always does, and for a client that tries replicas itself', async () => {
    const { address, asked } = await startBreaker(Infinity);
    expect(await failureOf(loopback.expert(address).call.evaluate(request()))).toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect(asked()).toBe(4);
    await failureOf(loopback.expert(address, { retries: false }).call.evaluate(request()));
    expect(asked()).toBe(5);
  });
});

describe.each(['NGHTTP2_NO_ERROR', 'NGHTTP2_INTERNAL_ERROR'] as const)(
  'a call that ends without a status, its stream closed with %s',
  (code) => {
    const how = { closes: constants[code] };

    it('is asked for again: nobody has said what became of it', async () => {
      const { address, asked } = await startBreaker(2, how);
      await expect(loopback.expert(address).call.evaluate(request())).resolves.toEqual(OK_RESPONSE);
      expect(asked()).toBe(3);
    });

    it('is UNAVAILABLE for a client that tries replicas itself, so that it tries another', async () => {
      const { address, asked } = await startBreaker(Infinity, how);
      const client = loopback.expert(address, { retries: false });
      expect(await failureOf(client.call.evaluate(request()))).toMatchObject({ code: 'UNAVAILABLE' });
      expect(asked()).toBe(1);
    });
  },
);

it('a call that a server ends as a fault of its protocol is not asked for again', async () => {
  const { address, asked } = await startBreaker(Infinity, { closes: constants.NGHTTP2_PROTOCOL_ERROR });
  const error = await failureOf(loopback.expert(address).call.evaluate(request()));
  expect(error).toMatchObject({ code: 'INTERNAL' });
  expect(asked()).toBe(1);
});

describe('a client that tries replicas itself', () => {
  it('makes one attempt only', async () => {
    let attempts = 0;
    const { address } = await loopback.serveExpert(async () => {
      attempts += 1;
      throw new DmoermError({ code: 'UNAVAILABLE', reason: 'LOADING', message: 'not yet' });
    });
    await failureOf(loopback.expert(address, { retries: false }).call.evaluate(request()));
    expect(attempts).toBe(1);
  });
});

describe('checkHealth', () => {
  it('tells serving from not serving, and from nobody there', async () => {
    const server = await loopback.serveExpert(async () => OK_RESPONSE);
    const client = loopback.expert(server.address);
    expect(await client.checkHealth(2_000)).toBe(false);
    server.setServing('readiness', true);
    expect(await client.checkHealth(2_000)).toBe(true);
    await expect(loopback.expert(NOBODY).checkHealth(2_000)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('a stream', () => {
  const echo = async function* (requests: AsyncIterable<{ itemId: string }>) {
    for await (const { itemId } of requests) yield { itemId, result: undefined };
  };

  it('carries requests and responses in both directions and ends with them', async () => {
    const { address } = await loopback.serveStream(echo);
    const ids = Array.from({ length: 200 }, (_, i) => String(i));
    const received: string[] = [];
    const requests = async function* () {
      for (const id of ids) yield item(id);
    };
    for await (const { itemId } of loopback.reward(address).call.streamScore(requests()))
      received.push(itemId);
    expect(received).toEqual(ids);
  });

  it('takes requests only as fast as the server reads them, give or take the retry buffer', async () => {
    const { address } = await loopback.serveStream(
      async function* (requests, { signal }) {
        for await (const { itemId } of requests) {
          yield { itemId, result: undefined };
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        }
      },
      { drain: { lameDuckMs: 0, graceMs: 0 } },
    );
    let taken = 0;
    const endless = async function* () {
      for (;;) {
        taken += 1;
        yield item('x'.repeat(10_000));
      }
    };
    const responses = loopback.reward(address).call.streamScore(endless());
    await responses.next();
    for (let turn = 0; turn < 1_000; turn++) await setImmediate();
    expect(taken).toBeLessThan(1_000);
    await responses.return();
  });

  it('ends with the error of its requests', async () => {
    const { address } = await loopback.serveStream(echo);
    const requests = async function* () {
      yield item('a');
      throw new Error('the source broke');
    };
    const read = async () => {
      for await (const _ of loopback.reward(address).call.streamScore(requests()));
    };
    await expect(read()).rejects.toThrow('the source broke');
  });
});

describe('waitForReady', () => {
  it('resolves when the service is there', async () => {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE);
    await expect(loopback.expert(address).waitForReady(Date.now() + 2_000)).resolves.toBeUndefined();
  });

  it('names the target that is not there', async () => {
    const error = await failureOf(loopback.expert(NOBODY).waitForReady(Date.now() + 100));
    expect(error).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'NOT_CONNECTED',
      metadata: { target: NOBODY },
    });
  });
});

describe('clients of one target', () => {
  it('share a connection, which lasts until the last of them is closed', async () => {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE);
    const first = loopback.expert(address);
    const second = loopback.expert(address);
    first.close();
    first.close();
    await expect(second.call.evaluate(request())).resolves.toEqual(OK_RESPONSE);
  });
});

import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { DEFAULT_LIMITS } from './start-server';
import type { ServerLimits } from './start-server';
import { Loopback, OK_RESPONSE, gate, request } from './spec-support/loopback';

const loopback = new Loopback();
afterEach(() => loopback.close());

const serve = (limits: Partial<ServerLimits>, answer = async () => OK_RESPONSE) =>
  loopback.serveExpert(answer, { limits: { ...DEFAULT_LIMITS, ...limits } });

function session(address: string): ClientHttp2Session {
  const opened = connectHttp2(`http://${address}`, { maxOutstandingPings: 1_000 });
  opened.on('error', () => undefined);
  loopback.defer(() => opened.destroy());
  return opened;
}

describe('a connection', () => {
  it.each([
    [
      'says nothing at all',
      (address: string) => connectTcp(Number(address.split(':')[1]), '127.0.0.1').resume(),
    ],
    ['makes no call', session],
  ])('that %s is closed', async (_, open) => {
    const { address } = await serve({ firstCallMs: 50 });
    const connection = open(address);
    connection.on('error', () => undefined);
    await once(connection, 'close');
  });

  it('that was closed for want of a call is no loss to a client that waits before its first', async () => {
    const { address } = await serve({ firstCallMs: 20 });
    for (let i = 0; i < 5; i++) {
      // Other options, another connection.
      const client = loopback.expert(address, { timeoutMs: 5_000 + i });
      await client.waitForReady(Date.now() + 2_000);
      await new Promise((resolve) => setTimeout(resolve, 20 + 3 * i));
      await expect(client.call.evaluate(request())).resolves.toEqual(OK_RESPONSE);
    }
  });

  it.each([
    ['is one too many is closed', 2, 2],
    ['is not one too many stays', 3, 3],
  ])('that %s', async (_, maxConnections, answered) => {
    const { address } = await serve({ maxConnections });
    const clients = [1, 2, 3].map((i) => loopback.expert(address, { timeoutMs: 1_000 + i, retries: false }));
    let served = 0;
    for (const client of clients)
      served += await client.call.evaluate(request()).then(
        () => 1,
        () => 0,
      );
    expect(served).toBe(answered);
  });

  it('may come when another has gone', async () => {
    const { address } = await serve({ maxConnections: 1 });
    const first = session(address);
    await once(first, 'connect');
    const gone = once(first, 'close');
    first.destroy();
    await gone;
    await expect(loopback.expert(address).call.evaluate(request())).resolves.toEqual(OK_RESPONSE);
  });

  it('that floods the server with pings is told so and closed', async () => {
    const { address } = await serve({});
    const flood = session(address);
    const goaway = new Promise<[number, string]>((resolve) =>
      flood.once('goaway', (code, _lastStream, data) => resolve([code, String(data)])),
    );
    const closed = new Promise((resolve) => flood.once('close', resolve));
    await once(flood, 'connect');
    for (let i = 0; i < 110; i++) flood.ping(() => undefined);
    expect(await goaway).toEqual([constants.NGHTTP2_ENHANCE_YOUR_CALM, 'too_many_pings']);
    await closed;
  });

  it('may ping as keepalive does', async () => {
    const { address } = await serve({});
    const quiet = session(address);
    await once(quiet, 'connect');
    for (let i = 0; i < 20; i++)
      await new Promise<void>((resolve, reject) =>
        quiet.ping((error) => (error === null ? resolve() : reject(error))),
      );
    expect(quiet.closed).toBe(false);
  });
});

describe('an old connection', () => {
  it('is closed between calls: none is lost, however many connections pass', async () => {
    let calls = 0;
    const { address } = await serve({ maxConnectionAgeMs: 20 }, async () => {
      calls += 1;
      return OK_RESPONSE;
    });
    const client = loopback.expert(address);
    for (let i = 0; i < 300; i++) {
      await client.call.evaluate(request());
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(calls).toBeGreaterThanOrEqual(300);
    // The last one goes too, once nothing is under way.
    const last = session(address);
    last.request({ ':path': '/none', ':method': 'POST', 'content-type': 'application/grpc' }).resume();
    await once(last, 'close');
  });

  it('keeps its long calls, of clients with keepalive too', async () => {
    const answer = gate<void>();
    const { address } = await serve({ maxConnectionAgeMs: 50 }, async () => {
      await answer.promise;
      return OK_RESPONSE;
    });
    const call = loopback.expert(address, { keepaliveMs: 100 }).call.evaluate(request());
    // Several keepalive pings after the age has come.
    setTimeout(answer.open, 1_000);
    await expect(call).resolves.toEqual(OK_RESPONSE);
  });
});

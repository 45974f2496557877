import { expertV1 } from '@dmoerm/protos';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/grpc-js';
import { service as healthDefinition } from 'grpc-health-check';
import { fromServiceError } from './service-error';
import { Loopback, OK_RESPONSE, failureOf, gate, item, request } from './spec-support/loopback';

const loopback = new Loopback();
afterEach(() => loopback.close());

const KEEPALIVE_MS = 100;
/** Longer than several keepalive pings. */
const CALL_MS = 400;
const work = () => new Promise((resolve) => setTimeout(resolve, CALL_MS));

describe('drain', () => {
  it('finishes the calls in flight of clients with keepalive, and refuses new ones on the same connection', async () => {
    const started = gate();
    const { address, server } = await slowExpert(started.open);
    const client = loopback.expert(address, { keepaliveMs: KEEPALIVE_MS });
    const inFlight = client.call.evaluate(request());
    await started.promise;
    const drained = server.drain();
    const refused = await failureOf(firstRefusal(address));
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', reason: 'DRAINING' });
    await expect(inFlight).resolves.toEqual(OK_RESPONSE);
    await drained;
    expect((await failureOf(client.call.evaluate(request()))).code).toBe('UNAVAILABLE');
  });

  it('would lose that call if the server just shut down', async () => {
    const started = gate();
    const server = new Server();
    const evaluate = (_: unknown, reply: (error: null, response: unknown) => void): void => {
      started.open();
      void work().then(() => reply(null, OK_RESPONSE));
    };
    server.addService(expertV1.ExpertServiceService, { evaluate });
    loopback.defer(() => server.forceShutdown());
    const port = await new Promise<number>((resolve) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, bound) => resolve(bound)),
    );
    const client = loopback.expert(`127.0.0.1:${port}`, { keepaliveMs: KEEPALIVE_MS });
    const inFlight = failureOf(client.call.evaluate(request()));
    await started.promise;
    server.tryShutdown(() => undefined);
    expect(await inFlight).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('takes everything but liveness out of service, and still answers while callers take notice', async () => {
    const server = await loopback.serveExpert(async () => OK_RESPONSE, {
      healthServices: ['chat'],
      drain: { lameDuckMs: 300, graceMs: 3_000 },
    });
    server.setServing('readiness', true);
    server.setServing('chat', true);
    const states = () =>
      Promise.all(['', 'liveness', 'readiness', 'chat'].map((name) => health(server.address, name)));
    expect(await states()).toEqual(['SERVING', 'SERVING', 'SERVING', 'SERVING']);
    const drained = server.drain();
    server.setServing('chat', true);
    expect(await states()).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING', 'NOT_SERVING']);
    await expect(loopback.expert(server.address).call.evaluate(request())).resolves.toEqual(OK_RESPONSE);
    await drained;
  });

  it('gives up on calls that outlast the grace', async () => {
    const started = gate();
    const server = await loopback.serveExpert(
      () => {
        started.open();
        return new Promise(() => undefined);
      },
      { drain: { lameDuckMs: 0, graceMs: 2_100 } },
    );
    const lost = failureOf(loopback.expert(server.address).call.evaluate(request()));
    await started.promise;
    await server.drain();
    expect((await lost).code).toBe('UNAVAILABLE');
  });

  it('lets a stream answer what it has taken, then ends it with UNAVAILABLE', async () => {
    const taken = gate();
    const answer = gate();
    const server = await loopback.serveStream(async function* (requests) {
      for await (const { itemId } of requests) {
        taken.open();
        await answer.promise;
        yield { itemId, result: undefined };
      }
    });
    const requests = async function* () {
      yield item('taken');
      await new Promise(() => undefined);
    };
    const responses = loopback.reward(server.address).call.streamScore(requests());
    const first = responses.next();
    await taken.promise;
    const drained = server.drain();
    answer.open();
    expect((await first).value).toMatchObject({ itemId: 'taken' });
    expect(await failureOf(responses.next())).toMatchObject({ code: 'UNAVAILABLE', reason: 'DRAINING' });
    await drained;
  });
});

type HealthCheck = MethodDefinition<{ service: string }, { status: string }>;

/** An expert whose task `chat` takes a while and whose other tasks do not. */
async function slowExpert(started: () => void) {
  const server = await loopback.serveExpert(async ({ task }) => {
    if (task === 'chat') {
      started();
      await work();
    }
    return OK_RESPONSE;
  });
  return { server, address: server.address };
}

/** Calls, without retries, until a call fails: the drain refuses calls only after its lame-duck time. */
async function firstRefusal(address: string): Promise<never> {
  const { path, requestSerialize, responseDeserialize } = expertV1.ExpertServiceService.evaluate;
  const client = loopback.stock(address);
  for (;;) {
    await new Promise<void>((resolve, reject) =>
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request('now'), (error) =>
        error ? reject(fromServiceError(error)) : resolve(),
      ),
    );
  }
}

function health(address: string, service: string): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = healthDefinition['Check'] as HealthCheck;
  const client = loopback.stock(address);
  return new Promise((resolve, reject) =>
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service }, (error, response) =>
      error ? reject(error) : resolve(response?.status ?? ''),
    ),
  );
}

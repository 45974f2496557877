import { loadPackageDefinition, credentials } from '@grpc/grpc-js';
import type { ChannelCredentials, ClientDuplexStream } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { DEFAULT_LIMITS } from './start-server';
import { Loopback, OK_RESPONSE, failureOf, request } from './spec-support/loopback';

const loopback = new Loopback();
afterEach(() => loopback.close());

const answer = async () => OK_RESPONSE;

interface Answer {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Buffer[] };
}

interface ReflectionPackage {
  readonly grpc: { readonly reflection: { readonly v1: { readonly ServerReflection: ReflectionClient } } };
}

type ReflectionClient = new (
  address: string,
  security: ChannelCredentials,
) => { serverReflectionInfo(): ClientDuplexStream<object, Answer>; close(): void };

/** A reflection client such as grpcurl: it learns the API from the protocol file of the reflection package. */
function reflectionOf(address: string): ClientDuplexStream<object, Answer> {
  const root = dirname(dirname(require.resolve('@grpc/reflection')));
  const proto = loadSync(join(root, 'proto/grpc/reflection/v1/reflection.proto'));
  const { grpc } = loadPackageDefinition(proto) as unknown as ReflectionPackage;
  const { ServerReflection } = grpc.reflection.v1;
  const client = new ServerReflection(address, credentials.createInsecure());
  loopback.defer(() => client.close());
  return client.serverReflectionInfo();
}

describe('startServer', () => {
  it('answers reflection: the services served, and their descriptors', async () => {
    const { address } = await loopback.serveExpert(answer, { reflection: true });
    const stream = reflectionOf(address);
    stream.write({ listServices: '' });
    const [list] = (await once(stream, 'data')) as [Answer];
    expect(list.listServicesResponse?.service).toEqual([{ name: 'dmoerm.expert.v1.ExpertService' }]);
    stream.write({ fileContainingSymbol: 'dmoerm.expert.v1.ExpertService' });
    const [file] = (await once(stream, 'data')) as [Answer];
    const descriptors = Buffer.concat([...(file.fileDescriptorResponse?.fileDescriptorProto ?? [])]).toString(
      'latin1',
    );
    expect(descriptors).toContain('dmoerm/expert/v1/expert.proto');
    stream.end();
  });

  it('has no reflection unless asked', async () => {
    const { address } = await loopback.serveExpert(answer);
    const stream = reflectionOf(address);
    stream.write({ listServices: '' });
    expect((await once(stream, 'error'))[0]).toMatchObject({ code: 12 });
  });

  it('says which address is in use and what to do', async () => {
    const { address } = await loopback.serveExpert(answer);
    const error = await failureOf(loopback.serveExpert(answer, { address }));
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'ADDRESS_IN_USE', metadata: { address } });
    expect(error.message).toContain(address);
  });

  it.each(['nonsense', '127.0.0.1', '192.0.2.1:50051', '127.0.0.1:99999'])(
    'refuses the address %s',
    async (address) => {
      const error = await failureOf(loopback.serveExpert(answer, { address }));
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'BAD_ADDRESS', metadata: { address } });
    },
  );

  it('limits the calls in flight on one connection without failing the others', async () => {
    let running = 0;
    let most = 0;
    const { address } = await loopback.serveExpert(
      async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        return OK_RESPONSE;
      },
      {
        limits: { ...DEFAULT_LIMITS, maxConcurrentStreams: 4 },
      },
    );
    const client = loopback.expert(address);
    await client.waitForReady(Date.now() + 2_000);
    await Promise.all(Array.from({ length: 20 }, () => client.call.evaluate(request())));
    expect(most).toBeLessThanOrEqual(4);
  });
});

// A process with the edge of a dmoerm server, or with one that lacks a part of it, and handlers that do next to nothing.
import { rewardV1 } from '@dmoerm/protos';
import { DEFAULT_LIMITS, bindService, createAccess, startServer } from '@dmoerm/rpc';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { EdgeOptions, EdgeState } from './edge';

const { RewardServiceService } = rewardV1;
const { kind, limits, tls = null, access } = JSON.parse(process.argv[2] ?? '{}') as EdgeOptions;
let handled = 0;

const empty = {
  score: () => rewardV1.ScoreResponse.create(),
  batchScore: () => rewardV1.BatchScoreResponse.create(),
  route: () => rewardV1.RouteResponse.create(),
  getModel: () => rewardV1.GetModelResponse.create({ name: 'edge' }),
};

/** Answers at once, unless a bug is planted: it throws what no handler should, on some requests only. */
function answer<Request, Response>(respond: () => Response): (request: Request) => Promise<Response> {
  return async (request) => {
    handled += 1;
    if (kind === 'planted' && (request as { options?: { lambda?: number } }).options?.lambda === undefined)
      throw new TypeError('planted');
    return respond();
  };
}

async function startGuarded(): Promise<string> {
  const { address } = await startServer({
    address: '127.0.0.1:0',
    services: [
      bindService(
        RewardServiceService,
        {
          score: answer(empty.score),
          batchScore: answer(empty.batchScore),
          route: answer(empty.route),
          getModel: async () => {
            handled += 1;
            return empty.getModel();
          },
          streamScore: async function* (requests) {
            for await (const { itemId } of requests) yield { itemId, result: undefined };
          },
        },
        ['trainer'],
      ),
    ],
    healthServices: [],
    reflection: false,
    limits: { ...DEFAULT_LIMITS, ...limits },
    drain: { lameDuckMs: 0, graceMs: 5_000 },
    tls,
    access: access === undefined ? null : createAccess(access),
  });
  return address;
}

/** grpc-js as it comes. */
async function startStock(): Promise<string> {
  const server = new Server();
  const unary = Object.entries(empty).map(([name, respond]) => [
    name,
    (_call: unknown, reply: (error: null, response: unknown) => void) => reply(null, respond()),
  ]);
  server.addService(RewardServiceService, {
    ...Object.fromEntries(unary),
    streamScore: () => undefined,
  } as UntypedServiceImplementation);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return `127.0.0.1:${port}`;
}

process.on('message', () => {
  (globalThis as { gc?: () => void }).gc?.();
  process.send?.({ rss: process.memoryUsage.rss(), handled } satisfies EdgeState);
});
process.on('disconnect', () => process.exit(0));
void (kind === 'stock' ? startStock() : startGuarded()).then((address) => process.send?.({ address }));

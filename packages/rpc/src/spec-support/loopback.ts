import { expertV1, rewardV1 } from '@dmoerm/protos';
import type { DmoermError } from '@dmoerm/core';
import { Client, credentials } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import type { Role } from '../access';
import { bindService } from '../bind-service';
import type { ServiceBinding, StreamHandler, UnaryHandler } from '../bind-service';
import { connect } from '../connect';
import type { RpcClient } from '../connect';
import type { ConnectOptions } from '../channel';
import { DEFAULT_LIMITS, startServer } from '../start-server';
import type { RpcServer, RpcServerOptions } from '../start-server';

export type Evaluate = UnaryHandler<expertV1.EvaluateRequest, expertV1.EvaluateResponse>;
export type StreamScore = StreamHandler<rewardV1.StreamScoreRequest, rewardV1.StreamScoreResponse>;
export type Expert = RpcClient<typeof expertV1.ExpertServiceService>;

export const EVALUATE = '/dmoerm.expert.v1.ExpertService/Evaluate';
export const OK_RESPONSE = expertV1.EvaluateResponse.create();
export const request = (task = 'chat') => expertV1.EvaluateRequest.create({ task });
export const item = (itemId: string) => rewardV1.StreamScoreRequest.create({ itemId });

/** Servers and clients of one spec file; `close` them after each test. */
export class Loopback {
  private readonly cleanups: (() => Promise<void> | void)[] = [];

  async serve(service: ServiceBinding, options: Partial<RpcServerOptions> = {}): Promise<RpcServer> {
    const server = await startServer({
      address: '127.0.0.1:0',
      services: [service],
      healthServices: [],
      reflection: false,
      limits: DEFAULT_LIMITS,
      drain: { lameDuckMs: 0, graceMs: 5_000 },
      ...options,
    });
    this.cleanups.push(() => server.drain());
    return server;
  }

  serveExpert(
    evaluate: Evaluate,
    options?: Partial<RpcServerOptions>,
    roles?: readonly Role[],
  ): Promise<RpcServer> {
    return this.serve(bindService(expertV1.ExpertServiceService, { evaluate }, roles), options);
  }

  serveStream(streamScore: StreamScore, options?: Partial<RpcServerOptions>): Promise<RpcServer> {
    const never = () => Promise.reject(new Error('not under test'));
    return this.serve(
      bindService(rewardV1.RewardServiceService, {
        score: never,
        batchScore: never,
        route: never,
        getModel: never,
        streamScore,
      }),
      options,
    );
  }

  expert(target: string, options: Partial<ConnectOptions> = {}): Expert {
    const client = connect(expertV1.ExpertServiceService, { target, ...options });
    this.cleanups.unshift(() => client.close());
    return client;
  }

  reward(target: string): RpcClient<typeof rewardV1.RewardServiceService> {
    const client = connect(rewardV1.RewardServiceService, { target });
    this.cleanups.unshift(() => client.close());
    return client;
  }

  /** A client of grpc-js that knows nothing of us. */
  stock(target: string): Client {
    const client = new Client(target, credentials.createInsecure());
    this.cleanups.unshift(() => client.close());
    return client;
  }

  defer(cleanup: () => Promise<void> | void): void {
    this.cleanups.unshift(cleanup);
  }

  async close(): Promise<void> {
    for (const cleanup of this.cleanups.splice(0)) await cleanup();
  }
}

/** The error of a call that must fail. */
export async function failureOf(call: Promise<unknown>): Promise<DmoermError> {
  return call.then(
    () => Promise.reject(new Error('the call succeeded')),
    (error: DmoermError) => error,
  );
}

/** Sends bytes as they are to a unary method; resolves with the error, or null. */
export function sendBytes(client: Client, path: string, bytes: Buffer): Promise<ServiceError | null> {
  const same = (value: Buffer): Buffer => value;
  return new Promise((resolve) =>
    client.makeUnaryRequest(path, same, same, bytes, (error) => resolve(error)),
  );
}

/** A promise with its handle. */
export function gate<T = void>(): { promise: Promise<T>; open(value: T): void } {
  let open!: (value: T) => void;
  const promise = new Promise<T>((resolve) => (open = resolve));
  return { promise, open };
}

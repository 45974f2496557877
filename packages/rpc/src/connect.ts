import { DmoermError } from '@dmoerm/core';
import type { MethodDefinition } from '@grpc/grpc-js';
import { callStream } from './call-stream';
import { callUnary } from './call-unary';
import { takeChannel } from './channel';
import type { ConnectOptions } from './channel';
import type { Definition, RequestOf, ResponseOf } from './definition';
import { checkHealth } from './check-health';
import type { CallOptions } from './outgoing-call';

/** The methods of a service as functions. All failures are DmoermErrors. */
export type Calls<D extends Definition> = {
  readonly [K in keyof D]: D[K] extends { requestStream: true; responseStream: true }
    ? (
        requests: AsyncIterable<RequestOf<D[K]>>,
        options?: CallOptions,
      ) => AsyncGenerator<ResponseOf<D[K]>, void, void>
    : D[K] extends { requestStream: false; responseStream: false }
      ? (request: RequestOf<D[K]>, options?: CallOptions) => Promise<ResponseOf<D[K]>>
      : never;
};

/** A typed client. */
export interface RpcClient<D extends Definition> {
  readonly call: Calls<D>;
  /**
   * Resolves when a replica is connected.
   * @throws DmoermError UNAVAILABLE, reason NOT_CONNECTED, at `deadline` (epoch milliseconds).
   */
  waitForReady(deadline: number): Promise<void>;
  /**
   * Whether the server as a whole says that it serves.
   * @throws DmoermError DEADLINE_EXCEEDED if it says nothing within `timeoutMs`; UNAVAILABLE if it cannot be reached.
   */
  checkHealth(timeoutMs: number): Promise<boolean>;
  /** Gives the connection up; calls in flight are finished. */
  close(): void;
}

/** A client of the service, e.g. `connect(expertV1.ExpertServiceService, { target })`. It connects with the first call. */
export function connect<D extends Definition>(definition: D, options: ConnectOptions): RpcClient<D> {
  const { target } = options;
  const { client, release } = takeChannel(options);
  const calls = Object.entries(definition).map(([name, definition]) => {
    const method = definition as unknown as MethodDefinition<unknown, unknown>;
    const channel = { client, target, method, retries: options.retries ?? true };
    return [
      name,
      method.requestStream
        ? (requests: AsyncIterable<unknown>, call: CallOptions = {}) => callStream(channel, requests, call)
        : (request: unknown, call: CallOptions = {}) => callUnary(channel, request, call),
    ];
  });
  return {
    call: Object.fromEntries(calls) as Calls<D>,
    waitForReady: (deadline) =>
      new Promise((resolve, reject) =>
        client.waitForReady(deadline, (error) =>
          error === undefined ? resolve() : reject(notConnected(target)),
        ),
      ),
    checkHealth: (timeoutMs) => checkHealth(client, timeoutMs),
    close: release,
  };
}

function notConnected(target: string): DmoermError {
  return new DmoermError({
    code: 'UNAVAILABLE',
    reason: 'NOT_CONNECTED',
    message: `no connection to ${target} in time; is the service running there?`,
    metadata: { target },
  });
}

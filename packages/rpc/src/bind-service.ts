import type {
  ServerDuplexStream,
  ServerUnaryCall,
  UntypedServiceImplementation,
  sendUnaryData,
} from '@grpc/grpc-js';
import type { Role } from './access';
import { createContext } from './call-context';
import type { CallContext } from './call-context';
import type { AnyDefinition, Definition, RequestOf, ResponseOf } from './definition';
import { failure } from './handler-failure';
import { serveStream } from './serve-stream';

/** Answers one request. Errors other than DmoermError reach the caller as INTERNAL without their text. */
export type UnaryHandler<Request, Response> = (request: Request, context: CallContext) => Promise<Response>;

/**
 * Answers a stream of requests with a stream of responses. Requests end when the caller ends them or the server drains;
 * each next response is asked for only when the caller has taken the ones before.
 */
export type StreamHandler<Request, Response> = (
  requests: AsyncIterable<Request>,
  context: CallContext,
) => AsyncIterable<Response>;

/** One handler per method of a definition, typed by it. */
export type Handlers<D extends Definition> = {
  readonly [K in keyof D]: D[K] extends { requestStream: true; responseStream: true }
    ? StreamHandler<RequestOf<D[K]>, ResponseOf<D[K]>>
    : D[K] extends { requestStream: false; responseStream: false }
      ? UnaryHandler<RequestOf<D[K]>, ResponseOf<D[K]>>
      : never;
};

/** A service ready to be served by `startServer`. */
export interface ServiceBinding {
  readonly definition: AnyDefinition;
  /** Who may call it, where the server knows identities. */
  readonly roles: readonly Role[];
  /** The grpc-js handlers; `draining` is aborted when the server takes no more requests. */
  implement(draining: AbortSignal): UntypedServiceImplementation;
}

/**
 * Binds handlers to a ts-proto service definition, e.g. `bindService(expertV1.ExpertServiceService, { evaluate })`.
 * @param roles who may call it; without them operators alone, so that nobody opens a service by forgetting.
 */
export function bindService<D extends Definition>(
  definition: D,
  handlers: Handlers<D>,
  roles: readonly Role[] = ['operator'],
): ServiceBinding {
  const methods = Object.entries(definition);
  return {
    definition: definition as unknown as AnyDefinition,
    roles,
    implement: (draining) =>
      Object.fromEntries(
        methods.map(([name, { requestStream }]) => {
          const handler = handlers[name];
          return [
            name,
            requestStream
              ? (call: ServerDuplexStream<unknown, unknown>) =>
                  void serveStream(call, handler as unknown as StreamHandler<unknown, unknown>, draining)
              : unary(handler as unknown as UnaryHandler<unknown, unknown>),
          ];
        }),
      ),
  };
}

function unary(handler: UnaryHandler<unknown, unknown>) {
  return (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>): void => {
    const context = createContext(call);
    // The handler runs in a promise chain, so that what it throws synchronously is caught as well.
    Promise.resolve()
      .then(() => handler(call.request, context))
      .then(
        (response) => callback(null, response),
        (error: unknown) => callback(failure(error, context, call.getPath())),
      );
  };
}

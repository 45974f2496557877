import type { Client, MethodDefinition } from '@grpc/grpc-js';
import { OutgoingCall } from './outgoing-call';
import type { CallOptions } from './outgoing-call';
import { fromServiceError } from './service-error';

/** A method behind a connection. */
export interface RemoteMethod {
  readonly client: Client;
  readonly target: string;
  readonly method: MethodDefinition<unknown, unknown>;
}

/** Makes a unary call. @throws DmoermError */
export async function callUnary(
  remote: RemoteMethod,
  request: unknown,
  options: CallOptions,
): Promise<unknown> {
  const { client, target, method } = remote;
  const outgoing = new OutgoingCall(method.path, target, options);
  return new Promise((resolve, reject) => {
    const { requestSerialize, responseDeserialize } = method;
    const { metadata, deadline } = outgoing;
    const call = client.makeUnaryRequest(
      method.path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      { deadline },
      (error, response) => {
        const failure = outgoing.end(error && fromServiceError(error));
        if (failure === null) resolve(response);
        else reject(failure);
      },
    );
    outgoing.cancelWith(call);
  });
}

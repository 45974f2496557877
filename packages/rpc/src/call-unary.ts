import type { Client, MethodDefinition } from '@grpc/grpc-js';
import type { DmoermError } from '@dmoerm/core';
import { OutgoingCall } from './outgoing-call';
import type { CallOptions } from './outgoing-call';
import { endedWithoutStatus, fromServiceError } from './service-error';

/** A method behind a connection. */
export interface RemoteMethod {
  readonly client: Client;
  readonly target: string;
  readonly method: MethodDefinition<unknown, unknown>;
  /** Whether calls that fail with UNAVAILABLE are made again. */
  readonly retries: boolean;
}

type Result =
  | { readonly type: 'answer'; readonly answer: unknown }
  | { readonly type: 'failure'; readonly error: DmoermError; readonly brokenOff: boolean };

/** Calls that break off, in the middle of their answer or before a status, are made again so often. */
const MAX_BREAKS = 3;

/**
 * Makes a unary call. gRPC's retries end where an answer begins: a server that is killed between the first and the last
 * frame of its answers would take them along, so such calls are made again here. All our methods may be repeated.
 * @throws DmoermError
 */
export async function callUnary(
  remote: RemoteMethod,
  request: unknown,
  options: CallOptions,
): Promise<unknown> {
  const { timeoutMs = Infinity, attempt = 1 } = options;
  const deadline = Date.now() + timeoutMs;
  for (let breaks = 0; ; breaks++) {
    const left = { ...options, timeoutMs: deadline - Date.now(), attempt: attempt + breaks };
    const result = await callOnce(remote, request, left);
    if (result.type === 'answer') return result.answer;
    if (!remote.retries || !result.brokenOff || breaks === MAX_BREAKS) throw result.error;
  }
}

function callOnce(
  { client, target, method }: RemoteMethod,
  request: unknown,
  options: CallOptions,
): Promise<Result> {
  const outgoing = new OutgoingCall(method.path, target, options);
  return new Promise((resolve) => {
    const { requestSerialize, responseDeserialize } = method;
    const { metadata, deadline } = outgoing;
    let begun = false;
    const call = client.makeUnaryRequest(
      method.path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      { deadline },
      (failure, answer) => {
        const error = outgoing.end(failure && fromServiceError(failure));
        if (error === null) resolve({ type: 'answer', answer });
        else {
          const brokenOff = failure !== null && (begun || endedWithoutStatus(failure));
          resolve({ type: 'failure', error, brokenOff: brokenOff && error.code === 'UNAVAILABLE' });
        }
      },
    );
    call.once('metadata', () => (begun = true));
    outgoing.cancelWith(call);
  });
}

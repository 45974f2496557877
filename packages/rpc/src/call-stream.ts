import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import type { DmoermError } from '@dmoerm/core';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { RemoteMethod } from './call-unary';
import { OutgoingCall } from './outgoing-call';
import type { CallOptions } from './outgoing-call';
import { fromServiceError } from './service-error';

/**
 * Makes a call with a stream each way. Requests are taken only as fast as the server reads them, give or take the
 * retry buffer. Leaving the loop over the responses cancels the call.
 * @throws DmoermError, or what `requests` throws
 */
export async function* callStream(
  remote: RemoteMethod,
  requests: AsyncIterable<unknown>,
  options: CallOptions,
): AsyncGenerator<unknown, void, void> {
  const { client, target, method } = remote;
  const outgoing = new OutgoingCall(method.path, target, options);
  const { requestSerialize, responseDeserialize } = method;
  const { metadata, deadline } = outgoing;
  const call = client.makeBidiStreamRequest(method.path, requestSerialize, responseDeserialize, metadata, {
    deadline,
  });
  outgoing.cancelWith(call);
  // The iterator reports errors while somebody reads; one that comes afterwards must not end the process.
  call.on('error', () => undefined);
  let outcome: DmoermError | null = null;
  let requestsError: unknown;
  const over = new AbortController();
  const sent = send(call, requests, over.signal).catch((error: unknown) => {
    requestsError = error;
    call.cancel();
  });
  try {
    for await (const response of call.iterator({ destroyOnReturn: false })) yield response;
    await sent;
  } catch (error) {
    outcome = fromServiceError(error as ServiceError);
  } finally {
    over.abort();
    call.cancel();
    outcome = outgoing.end(outcome);
  }
  if (requestsError !== undefined) throw requestsError as unknown;
  if (outcome !== null) throw outcome;
}

async function send(
  call: ClientDuplexStream<unknown, unknown>,
  requests: AsyncIterable<unknown>,
  over: AbortSignal,
): Promise<void> {
  for await (const request of requests) {
    if (over.aborted) return;
    if (call.write(request)) continue;
    await once(call, 'drain', { signal: over }).catch(() => undefined);
    // Until the first response grpc-js takes writes into its retry buffer at once: without this turn of the event loop,
    // requests that are ready would fill megabytes before the first of them is sent.
    await setImmediate();
  }
  call.end();
}

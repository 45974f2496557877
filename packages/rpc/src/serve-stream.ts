import type { ServerDuplexStream } from '@grpc/grpc-js';
import { once } from 'node:events';
import type { StreamHandler } from './bind-service';
import { createContext } from './call-context';
import { drainingError } from './draining-error';
import { failure } from './handler-failure';

type Call = ServerDuplexStream<unknown, unknown>;

/**
 * Runs a stream handler on a call. When the server drains, no further request reaches the handler; once it has answered
 * those it took, the stream ends with UNAVAILABLE, so that the caller sends the others elsewhere.
 */
export async function serveStream(
  call: Call,
  handler: StreamHandler<unknown, unknown>,
  draining: AbortSignal,
): Promise<void> {
  const context = createContext(call);
  try {
    for await (const response of handler(acceptedRequests(call, draining), context)) {
      context.signal.throwIfAborted();
      // A caller that does not read fills the HTTP/2 window; the handler then waits here.
      if (!call.write(response)) await once(call, 'drain', { signal: context.signal });
    }
    if (draining.aborted) throw drainingError();
    call.end();
  } catch (error) {
    // This event is how grpc-js takes a status for a stream; what was written before still goes out.
    if (!context.signal.aborted) call.emit('error', failure(error, context, call.getPath()));
  }
}

/** The requests of a stream until the caller ends it or the server drains. */
async function* acceptedRequests(call: Call, draining: AbortSignal): AsyncGenerator<unknown> {
  const requests = call.iterator({ destroyOnReturn: false });
  // One listener for the whole stream: a race against a long-lived promise would keep memory for every request.
  let stop = (): void => undefined;
  const onDrain = (): void => stop();
  draining.addEventListener('abort', onDrain);
  try {
    while (!draining.aborted) {
      const next = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
        stop = () => resolve({ done: true, value: undefined });
        requests.next().then(resolve, reject);
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    draining.removeEventListener('abort', onDrain);
  }
}

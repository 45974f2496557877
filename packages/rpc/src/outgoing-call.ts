import { DmoermError } from '@dmoerm/core';
import { ATTRIBUTES, tracer } from '@dmoerm/telemetry';
import { Metadata } from '@grpc/grpc-js';
import { SpanKind, context as activeContext, propagation, trace } from '@opentelemetry/api';
import { randomUUID } from 'node:crypto';
import { REQUEST_ID_KEY, cancelled } from './call-context';
import type { CallContext } from './call-context';
import { endSpan } from './server-span';
import { PREVIOUS_ATTEMPTS_KEY, metadataSetter } from './trace-metadata';

/** What a caller may say about one call. */
export interface CallOptions {
  /** The call on whose behalf this one is made: its deadline, cancellation and request id pass on. */
  readonly context?: CallContext;
  /** Longest time of this call, milliseconds; the client's own timeout and the context's deadline may be sooner. */
  readonly timeoutMs?: number;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
  /** Which attempt it is, from 1, of a caller that tries several replicas itself. */
  readonly attempt?: number;
}

/** A call about to be made: what goes on the wire, and what must be undone when it is over. */
export class OutgoingCall {
  readonly metadata = new Metadata();
  readonly deadline: number;
  private readonly signals: readonly AbortSignal[];
  private readonly span;
  private onAbort = (): void => undefined;

  /** @throws the reason of a signal that is aborted already. */
  constructor(path: string, target: string, options: CallOptions) {
    const { context, timeoutMs = Infinity, signal, attempt = 1 } = options;
    this.signals = [context?.signal, signal].filter((s) => s !== undefined);
    for (const { aborted, reason } of this.signals) if (aborted) throw asFailure(reason);
    this.deadline = Math.min(Date.now() + timeoutMs, context?.deadline ?? Infinity);
    const method = path.slice(1);
    const requestId = context?.requestId ?? randomUUID();
    const attributes = {
      'rpc.system.name': 'grpc',
      'rpc.method': method,
      ...serverAddress(target),
      [ATTRIBUTES.requestId]: requestId,
      ...(attempt > 1 ? { [ATTRIBUTES.attempt]: attempt } : {}),
    };
    this.span = tracer.startSpan(method, { kind: SpanKind.CLIENT, attributes });
    this.metadata.set(REQUEST_ID_KEY, requestId);
    // As grpc-js tells the server of retries of its own.
    if (attempt > 1) this.metadata.set(PREVIOUS_ATTEMPTS_KEY, `${attempt - 1}`);
    propagation.inject(trace.setSpan(activeContext.active(), this.span), this.metadata, metadataSetter);
  }

  /**
   * Cancels `call` when a signal says so. grpc-js's own `parent` option would do that too, but it leaves a listener on
   * the parent for every call: a stream's handler makes thousands.
   */
  cancelWith(call: { cancel(): void }): void {
    this.onAbort = () => call.cancel();
    for (const signal of this.signals) signal.addEventListener('abort', this.onAbort);
  }

  /** Ends the call; returns what to throw for `error`: a cancelled call tells the reason of the cancellation. */
  end(error: DmoermError | null): DmoermError | null {
    for (const signal of this.signals) signal.removeEventListener('abort', this.onAbort);
    endSpan(this.span, error?.code ?? 'OK', error !== null);
    const aborted = this.signals.find((signal) => signal.aborted);
    return error?.code === 'CANCELLED' && aborted ? asFailure(aborted.reason) : error;
  }
}

function asFailure(reason: unknown): DmoermError {
  return reason instanceof DmoermError ? reason : cancelled();
}

/** Host and port of a target; one of several addresses, or without a port, stands for itself. */
function serverAddress(target: string): Record<string, string | number> {
  const [, address, port] = /^(?:\w+:(?:\/\/[^/]*\/)?)?([^,]+):(\d+)$/.exec(target) ?? [];
  return address === undefined
    ? { 'server.address': target }
    : { 'server.address': address, 'server.port': Number(port) };
}

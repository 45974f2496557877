import { ATTRIBUTES, tracer } from '@dmoerm/telemetry';
import type { Metadata } from '@grpc/grpc-js';
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Context, Span } from '@opentelemetry/api';
import { PREVIOUS_ATTEMPTS_KEY, parentOf } from './trace-metadata';

/** Statuses that tell of the server's fault, not the caller's. */
const SERVER_FAULTS = new Set([
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
]);

/** A SERVER span and the context in which the handler must run. */
export interface ServerSpan {
  readonly context: Context;
  /** Its trace; null if it is not recorded. */
  readonly traceId: string | null;
  /** Ends the span with the name of the call's status. */
  end(code: string): void;
}

/** Starts the SERVER span of a call, a child of the caller's span if the metadata names one. */
export function startServerSpan(method: string, metadata: Metadata, requestId: string): ServerSpan {
  const parent = parentOf(metadata);
  const attempt = Number(metadata.get(PREVIOUS_ATTEMPTS_KEY)[0] ?? 0) + 1;
  const attributes = {
    'rpc.system.name': 'grpc',
    'rpc.method': method,
    [ATTRIBUTES.requestId]: requestId,
    [ATTRIBUTES.attempt]: attempt,
  };
  const span = tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
  return {
    context: trace.setSpan(parent, span),
    traceId: span.isRecording() ? span.spanContext().traceId : null,
    end: (code) => endSpan(span, code, SERVER_FAULTS.has(code)),
  };
}

/** Ends the span of a call with its status. */
export function endSpan(span: Span, code: string, failed: boolean): void {
  span.setAttribute('rpc.status_code', code);
  if (failed) {
    span.setAttribute('error.type', code);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

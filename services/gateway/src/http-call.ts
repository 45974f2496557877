import { DmoermError } from '@dmoerm/core';
import { drainingError } from '@dmoerm/rpc';
import type { Identity, PendingCall } from '@dmoerm/rpc';
import { ATTRIBUTES, metrics, observeTraced, tracer } from '@dmoerm/telemetry';
import { SpanKind, SpanStatusCode, context, propagation, trace } from '@opentelemetry/api';
import type { Context, Span } from '@opentelemetry/api';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Operation } from './document';

/** A request under way, from its headers to the end of its answer: its metrics, its span, and who stops waiting for it when. */
export class HttpCall implements PendingCall {
  readonly requestId: string;
  identity: Identity | null = null;
  /** Status of the error that answers it, in gRPC's words. */
  code = 'OK';
  private readonly arrival = performance.now();
  private readonly over = new AbortController();
  private readonly span: Span;
  private readonly context: Context;

  /** @param end called once, when the answer is out or nobody takes it any more. */
  constructor(
    private readonly operation: Operation,
    request: IncomingMessage,
    private readonly response: ServerResponse,
    end: (call: HttpCall) => void,
  ) {
    this.requestId = acceptedId(request.headers['x-request-id']) ?? randomUUID();
    const { method, path } = operation;
    const parent = propagation.extract(context.active(), request.headers);
    this.span = tracer.startSpan(
      `${method} ${path}`,
      {
        kind: SpanKind.SERVER,
        attributes: {
          'http.request.method': method,
          'http.route': path,
          [ATTRIBUTES.requestId]: this.requestId,
        },
      },
      parent,
    );
    this.context = trace.setSpan(parent, this.span);
    metrics.inflightRequests.inc();
    response.once('close', () => {
      this.finish();
      end(this);
    });
  }

  /** Aborted when nobody waits for the answer any more; its reason is a DmoermError. */
  get signal(): AbortSignal {
    return this.over.signal;
  }

  /** Does the work under the call's span. @throws DmoermError of the drain, if that was what ended it; else what the work throws. */
  async within<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await context.with(this.context, work);
    } catch (error) {
      throw this.signal.aborted ? this.signal.reason : error;
    }
  }

  abandon(): void {
    this.over.abort(drainingError());
  }

  private finish(): void {
    const gone = !this.response.writableFinished;
    if (gone) this.over.abort(clientGone());
    const code = gone ? 'CANCELLED' : this.code;
    const { method, path } = this.operation;
    const { statusCode } = this.response;
    this.span.setAttribute('http.response.status_code', statusCode);
    if (code !== 'OK') this.span.setAttribute('error.type', code);
    if (!gone && statusCode >= 500) this.span.setStatus({ code: SpanStatusCode.ERROR });
    this.span.end();
    metrics.inflightRequests.dec();
    observeTraced(
      metrics.requestDurationSeconds,
      { method: `${method} ${path}`, code },
      (performance.now() - this.arrival) / 1e3,
      this.span.isRecording() ? this.span.spanContext().traceId : null,
    );
  }
}

/** A caller's request id, if it is short and plain enough to stand in logs and headers. */
function acceptedId(value: unknown): string | null {
  return typeof value === 'string' && /^[\w.:-]{1,128}$/.test(value) ? value : null;
}

function clientGone(): DmoermError {
  return new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'the caller has gone' });
}

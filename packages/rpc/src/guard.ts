import { DmoermError } from '@dmoerm/core';
import { metrics, observeTraced } from '@dmoerm/telemetry';
import { ServerInterceptingCall } from '@grpc/grpc-js';
import type {
  Metadata,
  ServerInterceptingCallInterface,
  ServerInterceptor,
  ServerListener,
} from '@grpc/grpc-js';
import { context } from '@opentelemetry/api';
import { randomUUID } from 'node:crypto';
import { constants } from 'node:http2';
import type { ServerHttp2Stream } from 'node:http2';
import type { Access, Role } from './access';
import { authorise } from './authorise';
import { REQUEST_ID_KEY } from './call-context';
import { MalformedRequest } from './definition';
import { drainingError } from './draining-error';
import type { InFlight, PendingCall } from './in-flight';
import { startServerSpan } from './server-span';
import type { ServerSpan } from './server-span';
import { hasDetails, toFailure } from './service-error';
import { limitMessageTime } from './slow-messages';
import { codeName } from './status';

/** How long the caller of an answered stream may take to end its side. */
const LINGER_MS = 1_000;

type PartialStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0];

/** What every call on a server is held against. */
export interface GuardOptions {
  /** How long a unary request, or one message of a stream, may take to arrive, milliseconds. */
  readonly bodyTimeoutMs: number;
  /** How long a caller may take to receive a message, milliseconds. */
  readonly answerTimeoutMs: number;
  /** Aborted when new calls must be refused. */
  readonly draining: AbortSignal;
  readonly inFlight: InFlight;
  /** Paths of the bound methods and who may call them; health and reflection are neither counted nor refused. */
  readonly methods: ReadonlyMap<string, readonly Role[]>;
  /** Who calls; null: everybody may call everything. */
  readonly access: Access | null;
}

/** The interceptor through which every call passes: refusal, identity, time limit for the body, error model, metrics and span. */
export function guard(options: GuardOptions): ServerInterceptor {
  return (method, call) => {
    const guarded = new GuardedCall(method.path, method.requestStream, call, options);
    return new ServerInterceptingCall(call, { start: (next) => guarded.start(next) });
  };
}

class GuardedCall implements PendingCall {
  private readonly arrival = performance.now();
  private readonly counted: boolean;
  private requestId: string = randomUUID();
  private started = false;
  private requestRead = false;
  private done = false;
  private span: ServerSpan | null = null;
  private bodyTimer: NodeJS.Timeout | undefined;

  constructor(
    private readonly path: string,
    private readonly requestStream: boolean,
    private readonly call: ServerInterceptingCallInterface,
    private readonly options: GuardOptions,
  ) {
    this.counted = options.methods.has(path);
    // grpc-js sends the statuses of its own (limits, deadline, decompression) past all interceptors; replacing this one
    // method catches those as well as the handlers'.
    const send = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      const final = this.explain(status);
      this.finish(final.code ? codeName(final.code) : 'OK');
      send(final);
      if (!this.requestRead) this.closeStream();
      this.limitAnswer();
    };
    const sendMessage = call.sendMessage.bind(call);
    call.sendMessage = (message, taken) => {
      const stop = this.limitAnswer();
      sendMessage(message, () => {
        stop();
        taken();
      });
    };
  }

  start(next: (listener?: ServerListener) => void): void {
    if (this.counted) {
      this.options.inFlight.enter(this);
      metrics.inflightRequests.inc();
      if (this.options.draining.aborted) {
        this.abandon();
        return;
      }
    }
    const { bodyTimeoutMs } = this.options;
    const late = (): void => this.fail(bodyTimeout());
    if (!this.requestStream) this.bodyTimer = setTimeout(late, bodyTimeoutMs);
    else if (this.stream !== undefined) limitMessageTime(this.stream, bodyTimeoutMs, late);
    next({
      onReceiveMetadata: (metadata, pass) => {
        this.started = true;
        this.requestId = acceptedId(metadata.get(REQUEST_ID_KEY)[0]) ?? this.requestId;
        metadata.set(REQUEST_ID_KEY, this.requestId);
        if (this.counted) this.span = startServerSpan(this.path.slice(1), metadata, this.requestId);
        const refusal = this.authorise(metadata);
        if (refusal === null) this.within(() => pass(metadata));
        else this.fail(refusal);
      },
      onReceiveMessage: (message, pass) => {
        if (message instanceof MalformedRequest) this.fail(malformed());
        else this.within(() => pass(message));
      },
      onReceiveHalfClose: (pass) => {
        this.requestRead = true;
        clearTimeout(this.bodyTimer);
        this.within(pass);
      },
      onCancel: () => this.finish('CANCELLED'),
    });
    // A call that was cancelled before it started tells its listener nothing at all.
    if (!this.started) this.finish('CANCELLED');
  }

  abandon(): void {
    this.fail(drainingError());
  }

  private authorise(metadata: Metadata): DmoermError | null {
    const { access, methods } = this.options;
    const roles = methods.get(this.path);
    return access === null || roles === undefined ? null : authorise(access, roles, this.call, metadata);
  }

  /** grpc-js has no public way to a call's HTTP/2 stream. */
  private get stream(): ServerHttp2Stream | undefined {
    return (this.call as unknown as { readonly stream?: ServerHttp2Stream }).stream;
  }

  /**
   * Closes the HTTP/2 stream of a call that was answered before its request was complete; otherwise the caller could hold
   * it open for ever. What a stream has been sent before must go out first.
   */
  private closeStream(): void {
    const { stream, requestStream } = this;
    if (stream === undefined) return;
    if (!requestStream) return void stream.close(constants.NGHTTP2_NO_ERROR);
    const close = (): void => {
      const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), LINGER_MS);
      stream.once('close', () => clearTimeout(timer));
    };
    if (stream.writableFinished) close();
    else stream.once('finish', close);
  }

  /** A caller that does not take a message, or the end, does not keep it here for ever. @returns what stops the clock. */
  private limitAnswer(): () => void {
    const { stream } = this;
    if (stream === undefined || stream.closed) return () => undefined;
    const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), this.options.answerTimeoutMs);
    const stop = (): void => {
      clearTimeout(timer);
      stream.off('close', stop);
    };
    stream.once('close', stop);
    return stop;
  }

  private within(action: () => void): void {
    context.with(this.span?.context ?? context.active(), action);
  }

  private fail(error: DmoermError): void {
    this.call.sendStatus(toFailure(error, this.requestId));
  }

  /** Gives a status of grpc-js's own the details of our error model. */
  private explain(status: PartialStatus): PartialStatus {
    const { code, details, metadata } = status;
    if (!code || hasDetails(metadata) || !this.counted) return status;
    const name = codeName(code);
    const message = details ?? '';
    // Its only limit here is the message size; and before a request is read, only the request can be at fault.
    if (name === 'RESOURCE_EXHAUSTED') {
      return toFailure(new DmoermError({ code: name, reason: 'MESSAGE_TOO_LARGE', message }), this.requestId);
    }
    if (name === 'INTERNAL' && !this.requestRead) return toFailure(malformed(), this.requestId);
    return toFailure(new DmoermError({ code: name, reason: name, message }), this.requestId);
  }

  private finish(code: string): void {
    if (this.done) return;
    this.done = true;
    clearTimeout(this.bodyTimer);
    if (!this.counted) return;
    this.span?.end(code);
    metrics.inflightRequests.dec();
    observeTraced(
      metrics.requestDurationSeconds,
      { method: this.path.slice(1), code },
      (performance.now() - this.arrival) / 1e3,
      this.span?.traceId ?? null,
    );
    this.options.inFlight.leave(this);
  }
}

/** A caller's request id, if it is short and plain enough to stand in logs and headers. */
function acceptedId(value: unknown): string | null {
  return typeof value === 'string' && /^[\w.:-]{1,128}$/.test(value) ? value : null;
}

function malformed(): DmoermError {
  return new DmoermError({
    code: 'INVALID_ARGUMENT',
    reason: 'MALFORMED_REQUEST',
    message: 'the request is not a valid message of this method',
  });
}

function bodyTimeout(): DmoermError {
  return new DmoermError({
    code: 'DEADLINE_EXCEEDED',
    reason: 'BODY_TIMEOUT',
    message: 'the request did not arrive completely in time',
  });
}

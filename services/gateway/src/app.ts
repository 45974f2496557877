import cors from '@fastify/cors';
import { DmoermError } from '@dmoerm/core';
import { drainingError, isLoopback } from '@dmoerm/rpc';
import type { Access, InFlight } from '@dmoerm/rpc';
import type { Admission } from '@dmoerm/serving';
import { logger } from '@dmoerm/telemetry';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { TLSSocket } from 'node:tls';
import type { Answer } from './answer';
import type { GatewayConfig } from './config';
import type { ApiDocument, Operation } from './document';
import { toFailure } from './failure';
import { HttpCall } from './http-call';
import { fromHttpError } from './http-error';
import { servePlayground } from './playground';
import { createHttpServer } from './server';
import { createValidators } from './validate';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of operations that are not open to everybody. */
    call: HttpCall | null;
  }
  interface FastifyContextConfig {
    readonly operation?: Operation;
  }
}

/** Answers an operation: query and body have been checked against the document. @throws DmoermError */
export type Handler = (
  request: { readonly query: never; readonly body: never },
  call: HttpCall,
) => Promise<Answer>;

/** What an app works with. */
export interface AppParts {
  readonly config: GatewayConfig;
  readonly document: ApiDocument;
  /** Null: everybody may call. */
  readonly access: Access | null;
  readonly admission: Admission;
  readonly inFlight: InFlight;
  /** Aborted when new calls must be refused. */
  readonly draining: AbortSignal;
  /** By `operationId`: of all operations that are not open. */
  readonly handlers: ReadonlyMap<string, Handler>;
  /** The same for those that are. */
  readonly open: ReadonlyMap<string, () => Answer>;
}

/** The app, not yet listening; `unwatch` stops it from looking at files. */
export async function createApp(
  parts: AppParts,
): Promise<{ readonly app: FastifyInstance; readonly unwatch: () => void }> {
  const { config, document } = parts;
  let unwatch: () => void = () => undefined;
  const app = fastify({
    bodyLimit: config.maxBodyBytes,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    serverFactory: (handler) => {
      const made = createHttpServer(config, handler);
      unwatch = made.unwatch;
      return made.server;
    },
    clientErrorHandler: (error, socket) => {
      // No request, no answer of ours: bytes that are no HTTP, headers over the limit, or a body that took too long.
      const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
      if (socket.writable)
        socket.end(
          `HTTP/1.1 ${late ? '408 Request Timeout' : '400 Bad Request'}\r\nconnection: close\r\n\r\n`,
        );
      socket.destroySoon();
    },
  });
  app.removeContentTypeParser('text/plain');
  app.decorateRequest('call', null);
  if (config.corsOrigins.length > 0)
    await app.register(cors, {
      origin: [...config.corsOrigins],
      methods: ['GET', 'POST'],
      allowedHeaders: ['content-type', 'authorization', 'x-request-id'],
      exposedHeaders: ['x-request-id', 'retry-after', 'dmoerm-revision'],
    });
  app.addHook('onRequest', async (request, reply) => enter(parts, request, reply));
  app.setErrorHandler((error, request, reply) => fail(error, request, reply));
  app.setNotFoundHandler((request, reply) => fail(unknownPath(request.method), request, reply));
  await servePlayground(app, config.playground);
  const validatorOf = createValidators(document);
  for (const [id, operation] of document.operations) {
    const { method, path: url } = operation;
    const open = parts.open.get(id);
    const handler = parts.handlers.get(id);
    const validator = validatorOf(operation);
    app.route({
      method,
      url,
      config: { operation },
      handler: async (request, reply) => {
        if (open !== undefined) return send(reply, open());
        const { call, query, body } = request;
        if (call === null || handler === undefined) throw new Error(`nobody handles ${id}`);
        validator.query(query as Record<string, unknown>);
        validator.body(body);
        const checked = { query: query as never, body: body as never };
        const answer = await call.within(() => handler(checked, call));
        return send(reply, answer);
      },
    });
  }
  return { app, unwatch: () => unwatch() };
}

/** What a call passes before its body is read: drain, identity, room. */
function enter(parts: AppParts, request: FastifyRequest, reply: FastifyReply): void {
  const { operation } = request.routeOptions.config;
  if (operation === undefined || operation.open) return;
  const { admission, inFlight, draining, access, config } = parts;
  let permit: Disposable | null = null;
  const call = new HttpCall(operation, request.raw, reply.raw, (over) => {
    permit?.[Symbol.dispose]();
    inFlight.leave(over);
  });
  request.call = call;
  inFlight.enter(call);
  void reply.header('x-request-id', call.requestId);
  if (draining.aborted) throw drainingError();
  if (access !== null) call.identity = identify(access, request);
  else requireOwnName(config, request);
  // A body whose length nobody says may be as long as any.
  const length = Number(request.headers['content-length'] ?? config.maxBodyBytes);
  permit = admission.admit(1, Math.min(length, config.maxBodyBytes), call.identity?.name);
}

/**
 * Where everybody on this machine may call, a page in its browser is not everybody: one that makes its own name point here would be
 * let in by the browser, and is told apart by that name.
 */
function requireOwnName({ listen }: GatewayConfig, { headers: { host = '' } }: FastifyRequest): void {
  if (!isLoopback(listen) || isLoopback(host)) return;
  throw new DmoermError({
    code: 'PERMISSION_DENIED',
    reason: 'FOREIGN_HOST',
    message:
      'this gateway is for its own machine; ask it as localhost or 127.0.0.1, or give it an access file',
  });
}

function identify(access: Access, request: FastifyRequest): HttpCall['identity'] {
  const socket = request.raw.socket as Partial<TLSSocket>;
  const identity = access.identify({
    subjects: socket.authorized === true ? socket.getPeerCertificate?.().subjectaltname : undefined,
    authorization: request.headers.authorization,
  });
  if (identity !== null) return identity;
  throw new DmoermError({
    code: 'UNAUTHENTICATED',
    reason: 'UNAUTHENTICATED',
    message: 'nothing known here proves who calls; give a valid API token: authorization: Bearer dmoerm_...',
  });
}

function fail(cause: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = fromHttpError(cause);
  const { call } = request;
  if (error.reason === 'UNEXPECTED')
    logger.error({ err: cause, request_id: call?.requestId }, 'a handler failed unexpectedly');
  if (call !== null) call.code = error.code;
  if (error.reason === 'DRAINING') void reply.header('connection', 'close');
  const { operation } = request.routeOptions.config;
  return send(reply, toFailure(error, call?.requestId ?? request.id, operation?.forTrainers ?? false));
}

function send(reply: FastifyReply, { status, headers, text }: Answer): FastifyReply {
  return reply.code(status).headers(headers).type('application/json; charset=utf-8').send(text);
}

function unknownPath(method: string): DmoermError {
  return new DmoermError({
    code: 'NOT_FOUND',
    reason: 'UNKNOWN_PATH',
    message: `nothing here answers ${method} at this path; /openapi.json says what there is`,
  });
}

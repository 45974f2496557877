import { createClient, createCoalescer, withPatience } from '@dmoerm/client';
import { DmoermError } from '@dmoerm/core';
import { InFlight, drainingError } from '@dmoerm/rpc';
import { Admission, Quotas, checkSecurity, openAccess, peerTls } from '@dmoerm/serving';
import type { AccessFromFile, Service } from '@dmoerm/serving';
import { metrics } from '@dmoerm/telemetry';
import { setTimeout as sleep } from 'node:timers/promises';
import { ok, toJson } from './answer';
import { createApp } from './app';
import type { GatewayConfig } from './config';
import { readDocument } from './document';
import { toFailure } from './failure';
import { createHandlers } from './handlers';
import { Scorer } from './scorer';

/** Of health. */
const OK = toJson({ status: 'ok' });
/** Kept back from the grace, so that the process ends itself before it is killed. */
const RESERVE_MS = 2_000;
/** Longest time of the question what the model is. */
const MODEL_TIMEOUT_MS = 10_000;
/** Connections that wait to be accepted; the system bounds it too. Some trainers open one per reward. */
const BACKLOG = 4_096;

/** The gateway: it listens at once, and takes requests once the router was reached. */
export function createGatewayService(config: GatewayConfig): Service {
  const tls = peerTls(config);
  const way = {
    address: config.router,
    ...(tls !== null && { tls }),
    ...(config.routerToken !== null && { token: config.routerToken }),
  };
  const client = createClient({ ...way, timeoutMs: MODEL_TIMEOUT_MS });
  const coalescer = createCoalescer({
    ...way,
    timeoutMs: config.deadlineMs,
    maxItems: config.coalesceItems,
    waitMs: config.coalesceMs,
    callsAtOnce: config.callsAtOnce,
  });
  const scorer = new Scorer({
    coalescer,
    quotas: new Quotas(),
    getModel: () => client.getModel(),
    deadlineMs: config.deadlineMs,
  });
  const document = readDocument();
  const inFlight = new InFlight();
  const draining = new AbortController();
  let state: 'starting' | 'ready' | 'draining' = 'starting';
  let access: AccessFromFile | null = null;
  let close = async (): Promise<void> => undefined;

  return {
    start: async () => {
      checkSecurity(config);
      access = config.accessFile === null ? null : openAccess(config.accessFile);
      const { app, unwatch } = await createApp({
        config,
        document,
        access,
        admission: new Admission({
          maxInFlightItems: config.maxInFlightCalls,
          maxInFlightBytes: config.maxInFlightBytes,
        }),
        inFlight,
        draining: draining.signal,
        handlers: createHandlers(scorer),
        open: new Map([
          ['getDocument', () => ok(toJson(document.content))],
          ['isAlive', () => ok(OK)],
          ['isReady', () => (state === 'ready' ? ok(OK) : toFailure(notReady(state), '', false))],
        ]),
      });
      close = async () => {
        unwatch();
        await app.close();
      };
      const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(config.listen) ?? [];
      try {
        await app.listen({ host, port: Number(port), backlog: BACKLOG });
      } catch (cause) {
        throw cannotListen(config.listen, cause);
      }
      const bound = app.server.address();
      const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port;
      return { address: `${config.listen.replace(/:\d+$/, '')}:${boundPort}`, healthAddress: null };
    },
    ready: async () => {
      const deadline = Date.now() + config.peersTimeoutMs;
      await client.waitForReady(deadline);
      await withPatience(() => scorer.model(), deadline);
      state = 'ready';
    },
    stop: async () => {
      metrics.draining.set(1);
      state = 'draining';
      const end = Date.now() + config.graceMs - RESERVE_MS;
      // As the services do: not ready but answering, then refusing, and closing when all have their answers.
      await sleep(config.lameDuckMs);
      draining.abort();
      await inFlight.whenIdle(Math.max(0, end - Date.now()));
      inFlight.abandon();
      await close();
      await coalescer.close();
      client.close();
      access?.close();
    },
  };
}

function notReady(state: 'starting' | 'draining'): DmoermError {
  if (state === 'draining') return drainingError();
  return new DmoermError({
    code: 'UNAVAILABLE',
    reason: 'STARTING',
    message: 'the router has not been reached yet',
    retryAfterMs: 1_000,
  });
}

function cannotListen(address: string, cause: unknown): DmoermError {
  const busy = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
  return new DmoermError({
    code: busy ? 'UNAVAILABLE' : 'INVALID_ARGUMENT',
    reason: busy ? 'ADDRESS_IN_USE' : 'BAD_ADDRESS',
    message: busy
      ? `${address} is in use; choose another port, or 0 for a free one`
      : `cannot listen on ${address}; use an address of this machine, e.g. 127.0.0.1:8080`,
    metadata: { address },
    cause,
  });
}

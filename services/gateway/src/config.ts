import { defineConfig } from '@dmoerm/config';
import type { ConfigOf } from '@dmoerm/config';
import { PROCESS_OPTIONS } from '@dmoerm/serving';
import { join } from 'node:path';
import { z } from 'zod';

const count = z.int().min(1);

/** Settings of the gateway. */
export const GATEWAY_CONFIG = defineConfig({
  name: 'gateway',
  description: 'HTTP and JSON in front of the router: the API, what RL trainers speak, the playground.',
  options: {
    ...PROCESS_OPTIONS,
    maxConnections: {
      schema: count,
      default: 16_384,
      why: 'Connections at once; more are closed at once. Some trainers open one per reward.',
    },
    router: {
      schema: z.string().min(1),
      why: 'Where the routers are: host:port, or dns:///host:port for all replicas behind a name.',
    },
    routerToken: {
      schema: z.string().min(1).nullable(),
      default: null,
      secret: true,
      why: 'API token of this gateway at the router, where its certificate does not prove who it is; best given in the environment.',
    },
    peerCa: {
      schema: z.string().min(1).nullable(),
      default: null,
      why: "PEM file with the authorities of the routers' certificates; null reaches them in plaintext.",
    },
    peerName: {
      schema: z.string().min(1).nullable(),
      default: null,
      why: 'The name that their certificates carry, if it is not the host of their address.',
    },
    peersTimeoutMs: {
      schema: count,
      default: 600_000,
      why: 'How long to wait at start for the router before giving up, milliseconds.',
    },
    deadlineMs: {
      schema: count,
      default: 60_000,
      why: 'Longest time of a request, waits for a full queue or a used-up quota included, milliseconds; then it is refused.',
    },
    maxBodyBytes: { schema: z.int().min(1024), default: 8_388_608, why: 'Bytes per request.' },
    bodyTimeoutMs: {
      schema: count,
      default: 8_000,
      why: 'Time for a request to arrive completely, milliseconds.',
    },
    maxInFlightCalls: {
      schema: count,
      default: 16_384,
      why: 'Requests under way at once; more are refused at once. While several identities ask, none gets more than an equal share.',
    },
    maxInFlightBytes: {
      schema: count,
      default: 67_108_864,
      why: 'The same for the bytes of their bodies. Bounds memory, of which texts take two or three times as much on their way.',
    },
    coalesceItems: {
      schema: count,
      default: 64,
      why: 'Items of concurrent requests in one call to the router.',
    },
    coalesceMs: {
      schema: z.number().min(0),
      default: 5,
      why: 'How long an item waits for others to travel with, milliseconds.',
    },
    callsAtOnce: {
      schema: count,
      default: 16,
      why: 'Calls to the router under way at once; what comes meanwhile travels with the next one.',
    },
    corsOrigins: {
      schema: z.array(z.string().regex(/^https?:\/\/[^/]+$/, 'an origin, e.g. https://lab.example')),
      default: [],
      why: 'Origins of web pages elsewhere that may call, e.g. [https://lab.example]; none by default.',
    },
    playground: {
      schema: z.string().min(1).nullable(),
      default: join(__dirname, '..', '..', '..', 'apps', 'playground', 'dist'),
      why: 'Folder of the playground, a static page that is served at / if the folder is there; null serves none.',
    },
  },
});

/** Their values. */
export type GatewayConfig = ConfigOf<typeof GATEWAY_CONFIG>;

import type { ConfigOption } from '@dmoerm/config';
import { DEFAULT_LIMITS } from '@dmoerm/rpc';
import { homedir, totalmem } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

/** Bytes that this process may use: of the container, if there is one. */
function memory(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

const file = z.string().min(1).nullable();
const address = z.string().regex(/^.+:\d{1,5}$/, 'must be host:port');

/** Settings that every process has which listens; spread into its own definition. */
export const PROCESS_OPTIONS = {
  listen: {
    schema: address,
    default: '127.0.0.1:0',
    why: 'Address of the server; port 0 takes a free one. 0.0.0.0 serves other machines.',
  },
  tlsCert: {
    schema: file,
    default: null,
    why: 'PEM file with the certificate of this service; null serves plaintext. Read again when it changes.',
  },
  tlsKey: { schema: file, default: null, why: 'PEM file with the private key of the certificate.' },
  tlsClientCa: {
    schema: file,
    default: null,
    why: "PEM file with the authorities of callers' certificates; null asks callers for none.",
  },
  accessFile: {
    schema: file,
    default: null,
    why: 'YAML file of the identities that may call, with their tokens and certificate names; null lets everybody call everything.',
  },
  insecure: {
    schema: z.boolean(),
    default: false,
    why: 'Whether to listen to other machines without TLS or without identities.',
  },
  readyFile: {
    schema: z.string().min(1).nullable(),
    default: null,
    why: 'A file to write, with the addresses as JSON, once the service is healthy.',
  },
  metricsListen: {
    schema: address.nullable(),
    default: '127.0.0.1:0',
    why: 'Address of the Prometheus page; null serves none.',
  },
  otlpEndpoint: {
    schema: z.url().nullable(),
    default: null,
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    why: 'OTLP gRPC collector for traces, e.g. http://127.0.0.1:4317; null exports none.',
  },
  sampleRatio: {
    schema: z.number().min(0).max(1),
    default: 1,
    why: "Share of new traces that are recorded; a caller's decision wins.",
  },
  lameDuckMs: {
    schema: z.int().min(0),
    default: 1000,
    why: 'On SIGTERM, milliseconds to answer on while not ready, so that callers and probes notice; 5000 in a cluster.',
  },
  graceMs: {
    schema: z.int().min(3000),
    default: 30_000,
    why: 'From SIGTERM to the end of the process, milliseconds; as long as the longest batch takes, and 10 s more.',
  },
} as const satisfies Record<string, ConfigOption>;

/** Settings that every service has which serves a bundle over gRPC; spread into its own definition. */
export const SERVICE_OPTIONS = {
  bundle: {
    schema: z.string().min(1),
    default: 'default',
    why: 'The bundle to serve: a directory, a digest or a known name.',
  },
  cacheDir: {
    schema: z.string().min(1),
    default: join(homedir(), '.cache', 'dmoerm'),
    env: 'DMOERM_CACHE',
    why: 'Where base models are kept that bundles refer to by digest.',
  },
  maxBundleBytes: {
    schema: z.int().positive(),
    default: Math.floor(memory() / 2),
    why: 'Memory for resident revisions, bytes; a load beyond it evicts idle ones or is refused. Default: half of what there is.',
  },
  ...PROCESS_OPTIONS,
  healthListen: {
    schema: address.nullable(),
    default: null,
    why: 'Address for the health service alone, in plaintext, for probes that speak no TLS; null: none.',
  },
  reflection: {
    schema: z.boolean(),
    default: true,
    why: 'Whether tools such as grpcurl may ask for the services; switch it off where strangers can call.',
  },
  maxConnections: {
    schema: z.int().min(1),
    default: DEFAULT_LIMITS.maxConnections,
    why: 'Connections at once; more are closed at once. Each takes a file descriptor and some 100 KB.',
  },
} as const satisfies Record<string, ConfigOption>;

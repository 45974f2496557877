import { defineConfig } from '@dmoerm/config';
import type { ConfigOf } from '@dmoerm/config';
import { SERVICE_OPTIONS } from '@dmoerm/serving';
import { z } from 'zod';

const count = z.int().min(1);

/** Settings of the router service. */
export const ROUTER_CONFIG = defineConfig({
  name: 'router',
  description:
    'The public API: routes conversations to tasks, asks experts and aggregator, answers with rewards.',
  options: {
    ...SERVICE_OPTIONS,
    expert: {
      schema: z.string().min(1),
      why: 'Where the experts are: host:port, dns:///host:port for all replicas behind a name, or ipv4:a:port,b:port.',
    },
    taskExperts: {
      schema: z.record(z.string().min(1), z.string().min(1)),
      default: {},
      why: 'Where the experts of single tasks are, by task, e.g. {chat: "dns:///expert-chat:50051"}; all other tasks are at expert.',
    },
    aggregator: {
      schema: z.string().min(1),
      why: 'Where the aggregators are; the same forms as for the experts.',
    },
    peerCa: {
      schema: z.string().min(1).nullable(),
      default: null,
      why: 'PEM file with the authorities of the certificates of experts and aggregators; null reaches them in plaintext.',
    },
    peerName: {
      schema: z.string().min(1).nullable(),
      default: null,
      why: 'The name that their certificates carry, if it is not the host of their address.',
    },
    maxItems: { schema: count, default: 256, why: 'Items per BatchScore.' },
    maxCandidates: { schema: count, default: 128, why: 'Candidates per item.' },
    maxMessageBytes: {
      schema: z.int().min(1024),
      default: 8_388_608,
      why: 'Bytes per message of callers.',
    },
    evaluationEvents: {
      schema: z.boolean(),
      default: false,
      why: 'Whether sampled traces carry every capability score, as events `gen_ai.evaluation.result`; no text is in them.',
    },
    maxInFlightItems: {
      schema: count,
      default: 4096,
      why: 'Items under way at once; calls beyond them are refused with RESOURCE_EXHAUSTED. Bounds memory and latency.',
    },
    maxInFlightBytes: {
      schema: count,
      default: 134_217_728,
      why: 'The same for the bytes of their texts.',
    },
    streamWindow: {
      schema: count,
      default: 64,
      why: 'Items of one StreamScore that are under way at once; beyond them the stream is not read.',
    },
    chunkCandidates: {
      schema: count,
      default: 64,
      why: 'Candidates per call to an expert: they come back with their embeddings, which bounds the answer.',
    },
    chunkBytes: {
      schema: count,
      default: 1_048_576,
      why: 'Bytes of text per call to an expert.',
    },
    peerMessageBytes: {
      schema: z.int().min(1024),
      default: 33_554_432,
      why: 'Largest message between the services; a chunk of candidates with its embeddings must fit.',
    },
    expertTimeoutMs: {
      schema: count,
      default: 600_000,
      why: 'Longest time of one call to an expert, milliseconds; a sooner deadline of the caller wins.',
    },
    aggregatorTimeoutMs: {
      schema: count,
      default: 10_000,
      why: 'The same for the aggregator; after it the reward comes from the lesser rule and says so.',
    },
    silenceMs: {
      schema: count,
      default: 1_000,
      why:
        'A peer that owes answers and has been silent this long, milliseconds, is asked for a sign of life; after as long again its calls ' +
        'go to another replica. Slow peers give one.',
    },
    hedgePercent: {
      schema: z.number().min(0).max(100),
      default: 5,
      why: 'Percentage of calls that may be asked a second replica when the answer is later than 95 of 100 are; 0 for none.',
    },
    peersTimeoutMs: {
      schema: count,
      default: 600_000,
      why: 'How long to wait at start for expert and aggregator before giving up, milliseconds.',
    },
  },
});

/** Their values. */
export type RouterConfig = ConfigOf<typeof ROUTER_CONFIG>;

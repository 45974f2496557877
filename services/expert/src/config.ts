import { defineConfig } from '@dmoerm/config';
import type { ConfigOf } from '@dmoerm/config';
import { SERVICE_OPTIONS } from '@dmoerm/serving';
import { z } from 'zod';

/** Settings of the expert service. */
export const EXPERT_CONFIG = defineConfig({
  name: 'expert',
  description: 'Scores candidates with every capability expert of a task on one resident base.',
  options: {
    ...SERVICE_OPTIONS,
    tasks: {
      schema: z.array(z.string().min(1)).min(1).nullable(),
      default: null,
      why: 'Tasks to serve, e.g. [chat]; null serves all of the bundle. Lets a cluster scale busy tasks apart.',
    },
    threads: {
      schema: z.int().min(0),
      default: 0,
      why: 'Threads of the engine; 0 takes all cores. Give the cores of the container where it has a limit.',
    },
    weightType: {
      schema: z.enum(['auto', 'f32', 'bf16', 'int8', 'stored']),
      default: 'auto',
      why:
        "The base's weights in memory: bf16 halves them, int8 quarters them, stored keeps the file's own; each moves scores within the " +
        'tolerance table. auto is bf16 where the processor multiplies it markedly faster than float32, else f32.',
    },
    isa: {
      schema: z.enum([
        'auto',
        'reference',
        'avx2',
        'avx_vnni',
        'avx512',
        'avx512_vnni',
        'avx512_bf16',
        'amx',
      ]),
      default: 'auto',
      why: 'Instruction set of the engine; scores are equal to the bit only on the same one.',
    },
    maxBatchTokens: {
      schema: z.int().min(1),
      default: 4096,
      why: 'Tokens that go into the engine at once; more gives throughput, less gives latency.',
    },
    maxQueueTokens: {
      schema: z.int().min(1),
      default: 131_072,
      why: 'Tokens that may wait; calls beyond them are refused with RESOURCE_EXHAUSTED. Bounds memory and waiting time.',
    },
    maxMessageBytes: {
      schema: z.int().min(1024),
      default: 33_554_432,
      why: 'Largest call, bytes.',
    },
  },
});

/** Their values. */
export type ExpertConfig = ConfigOf<typeof EXPERT_CONFIG>;

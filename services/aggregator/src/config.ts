import { defineConfig } from '@dmoerm/config';
import type { ConfigOf } from '@dmoerm/config';
import { SERVICE_OPTIONS } from '@dmoerm/serving';
import { z } from 'zod';

/** Settings of the aggregator service. */
export const AGGREGATOR_CONFIG = defineConfig({
  name: 'aggregator',
  description: "Turns the outputs of a task's experts into rewards.",
  options: {
    ...SERVICE_OPTIONS,
    maxMessageBytes: {
      schema: z.int().min(1024),
      default: 33_554_432,
      why: 'Largest call, bytes; the embeddings of a chunk of candidates must fit.',
    },
  },
});

/** Their values. */
export type AggregatorConfig = ConfigOf<typeof AGGREGATOR_CONFIG>;

import { homedir } from 'node:os';
import { join } from 'node:path';
import { defineConfig, loadConfig, type ConfigOf } from '@dmoerm/config';
import { z } from 'zod';

const SETTINGS = defineConfig({
  name: 'cli',
  description: 'Settings that the commands share; they come from the environment.',
  options: {
    cacheDir: {
      schema: z.string().min(1),
      default: join(homedir(), '.cache', 'dmoerm'),
      env: 'DMOERM_CACHE',
      why: 'Where bases and bundles are kept.',
    },
    hubEndpoint: {
      schema: z.url(),
      default: 'https://huggingface.co',
      env: 'HF_ENDPOINT',
      why: 'Address of the model hub.',
    },
    otlpEndpoint: {
      schema: z.url().nullable(),
      default: null,
      env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
      why: 'OTLP gRPC collector for the traces of calls to a mesh; null exports none.',
    },
  },
});

/** The commands' shared settings. */
export function readSettings(): ConfigOf<typeof SETTINGS> {
  return loadConfig(SETTINGS, { argv: [] });
}

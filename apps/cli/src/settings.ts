import { homedir } from 'node:os';
import { join } from 'node:path';
import { defineConfig, loadConfig } from '@dmoerm/config';
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
  },
});

/** The commands' shared settings. */
export function readSettings(): { readonly cacheDir: string; readonly hubEndpoint: string } {
  return loadConfig(SETTINGS, { argv: [] });
}

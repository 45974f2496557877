import { defineConfig, loadConfig } from '@dmoerm/config';
import { z } from 'zod';

const SETTINGS = defineConfig({
  name: 'label',
  description:
    'Where `dmoerm label` asks; the names are those that other clients of such endpoints read too.',
  options: {
    url: {
      schema: z.string().nullable(),
      default: null,
      env: 'OPENAI_BASE_URL',
      why: 'Address of the endpoint before /chat/completions.',
    },
    model: {
      schema: z.string().nullable(),
      default: null,
      env: 'DMOERM_LABEL_MODEL',
      why: 'Model that labels.',
    },
    apiKey: {
      schema: z.string().nullable(),
      default: null,
      env: 'OPENAI_API_KEY',
      why: 'Key of the endpoint. It has no flag: command lines are seen by others and kept in histories.',
      secret: true,
    },
  },
});

/** The labelling endpoint as the environment names it; null where it does not. */
export function readLabelSettings(): {
  readonly url: string | null;
  readonly model: string | null;
  readonly apiKey: string | null;
} {
  return loadConfig(SETTINGS, { argv: [] });
}

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { cachedBasePath, digestBase, KNOWN_BASES, type BaseReference } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import type { Recipe } from './recipe';

/**
 * A recipe's base: where it lies, and how a bundle refers to it. A known one stays a reference; another is embedded.
 * @throws DmoermError NOT_FOUND with the command that fetches it.
 */
export async function resolveRecipeBase(
  { base, base_licence: licence }: Recipe,
  cacheDir: string,
): Promise<{ readonly reference: BaseReference; readonly path: string }> {
  const known = KNOWN_BASES[base];
  const path = known === undefined ? base : cachedBasePath(cacheDir, known);
  const found = await stat(path).catch(() => null);
  if (found === null)
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'BASE_MISSING',
      field: 'base',
      message:
        known === undefined
          ? `the recipe's base ${path} is not there; known bases are ${Object.keys(KNOWN_BASES).join(', ')}`
          : `the base ${base} is not in the cache; fetch it with \`npx dmoerm base pull ${base}\``,
    });
  if (known !== undefined) return { reference: known, path };
  const { digest, bytes } = await digestBase(path);
  const gguf = found.isFile();
  return {
    path,
    reference: {
      name: basename(path, '.gguf')
        .toLowerCase()
        .replaceAll(/[^a-z0-9_.-]/g, '-'),
      format: gguf ? 'gguf' : 'huggingface',
      digest,
      bytes,
      file: gguf ? basename(path) : null,
      embedded: true,
      licence,
      sources: [],
    },
  };
}

import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { cachedBasePath, digestBase, KNOWN_BASES, type BaseReference } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import type { Recipe, Scratch } from './recipe';

/** A base on disk, and how a bundle refers to it. */
export interface ResolvedBase {
  readonly reference: BaseReference;
  readonly path: string;
}

/**
 * A recipe's base: a known one stays a reference, others are embedded in the bundle.
 * @param make Trains one from scratch and gives its path.
 * @throws DmoermError NOT_FOUND with the command that fetches it.
 */
export async function resolveRecipeBase(
  { name, base, base_licence: licence }: Recipe,
  cacheDir: string,
  make: (scratch: Scratch) => Promise<string>,
): Promise<ResolvedBase> {
  if (typeof base !== 'string') return embedded(name, licence, await make(base));
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
  return known === undefined ? embedded(basename(path, '.gguf'), licence, path) : { reference: known, path };
}

async function embedded(name: string, licence: string, path: string): Promise<ResolvedBase> {
  const { digest, bytes } = await digestBase(path);
  const gguf = (await stat(path)).isFile();
  return {
    path,
    reference: {
      name: name.toLowerCase().replaceAll(/[^a-z0-9_.-]/g, '-'),
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

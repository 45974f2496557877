import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { corrupt, DmoermError } from '@dmoerm/core';
import { canonicalJson, hashFile, sha256 } from './digest';
import { listFiles } from './files';
import type { BaseReference } from './manifest';

/** Where a base lies in the cache: the GGUF file, or the folder. */
export function cachedBasePath(cacheDir: string, base: Pick<BaseReference, 'digest' | 'file'>): string {
  const folder = join(cacheDir, 'bases', base.digest);
  return base.file === null ? folder : join(folder, base.file);
}

/** Whether something is there; its content is checked when it is used. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Digest of a base: of the GGUF file, or of a folder's canonical table of file digests. */
export async function digestBase(path: string): Promise<{ digest: string; bytes: number }> {
  if ((await stat(path)).isFile()) {
    const { sha256: digest, bytes } = await hashFile(path);
    return { digest, bytes };
  }
  const table: Record<string, { sha256: string; bytes: number }> = {};
  for (const file of await listFiles(path)) table[file] = await hashFile(join(path, file));
  const bytes = Object.values(table).reduce((sum, file) => sum + file.bytes, 0);
  return { digest: sha256(canonicalJson(table)), bytes };
}

/**
 * Path of a bundle's base, in the bundle or in the cache, its digest verified.
 * @throws DmoermError NOT_FOUND, reason `BASE_MISSING`, with the command that fetches it; DATA_LOSS if it is another file.
 */
export async function resolveBase(
  base: BaseReference,
  bundleFolder: string,
  cacheDir: string,
): Promise<string> {
  const path = base.embedded ? join(bundleFolder, 'base', base.file ?? '') : cachedBasePath(cacheDir, base);
  if (!(await exists(path)))
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'BASE_MISSING',
      field: 'base',
      message: base.embedded
        ? `the bundle's base ${base.name} is missing from its folder`
        : `the base ${base.name} is not in the cache (${path}); fetch it with \`npx dmoerm base pull ${base.name}\``,
    });
  const { digest } = await digestBase(path);
  if (digest !== base.digest)
    throw corrupt(
      'base',
      'DIGEST_MISMATCH',
      `${path} is not the base ${base.name} that the bundle was made for: its digest differs; remove it and pull again`,
    );
  return path;
}

import { cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DmoermError } from '@dmoerm/core';
import { openBundle, type Bundle, type OpenOptions } from './bundle';
import { exists } from './cache';
import { hashFile } from './digest';
import { listFiles, MANIFEST_FILE } from './files';
import { parseManifest, type Manifest } from './manifest';

/** What a bundle is made of: a manifest without its file table, and where each file comes from. */
export interface BundleSpec {
  readonly manifest: Omit<Manifest, 'files'>;
  /** Path in the bundle -> file or folder on disk. An embedded base goes to `base/<file>` or `base`. */
  readonly sources: Readonly<Record<string, string>>;
}

/**
 * Makes a bundle's folder: copies the files, takes their digests, writes the manifest, verifies the result, and moves it into place
 * at once; a failure leaves nothing behind.
 * @throws DmoermError ALREADY_EXISTS if the folder is there; else as `openBundle`.
 */
export async function createBundle(
  spec: BundleSpec,
  directory: string,
  options: OpenOptions,
): Promise<Bundle> {
  const target = resolve(directory);
  if (await exists(target))
    throw new DmoermError({
      code: 'ALREADY_EXISTS',
      reason: 'BUNDLE_EXISTS',
      field: 'directory',
      message: `${target} is there already; bundles are immutable: choose another folder or remove it`,
    });
  await mkdir(dirname(target), { recursive: true });
  const draft = await mkdtemp(join(dirname(target), `.${basename(target)}-`));
  try {
    for (const [path, source] of Object.entries(spec.sources))
      await cp(source, join(draft, path), { recursive: true, dereference: true });
    const files: Manifest['files'] = {};
    for (const path of await listFiles(draft)) files[path] = await hashFile(join(draft, path));
    const manifest = parseManifest({ ...spec.manifest, files });
    await writeFile(join(draft, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
    await openBundle(draft, options);
    await rename(draft, target);
    return await openBundle(target, options);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

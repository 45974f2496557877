import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { corrupt } from '@dmoerm/core';
import { hashFile } from './digest';
import type { Manifest } from './manifest';

/** Name of the manifest in a bundle's folder. */
export const MANIFEST_FILE = 'dmoerm.json';

/**
 * Checks that the folder holds exactly the manifest's files with their sizes and digests: regular files, no links, no tricks.
 * @throws DmoermError DATA_LOSS naming the file.
 */
export async function verifyFiles(folder: string, files: Manifest['files']): Promise<void> {
  const folded = new Set<string>();
  for (const path of Object.keys(files)) {
    refuseTricks(path);
    if (folded.has(path.toLowerCase()))
      throw corrupt(path, 'AMBIGUOUS_PATH', `${path}: two files differ by case only`);
    folded.add(path.toLowerCase());
  }
  const present = await listFiles(folder);
  for (const path of present)
    if (path !== MANIFEST_FILE && !Object.hasOwn(files, path))
      throw corrupt(path, 'UNDECLARED_FILE', `${path} lies in the bundle but not in its manifest`);
  for (const [path, expected] of Object.entries(files)) {
    if (!present.includes(path))
      throw corrupt(path, 'MISSING_FILE', `${path} is in the manifest but not in the bundle`);
    const actual = await hashFile(join(folder, path));
    if (actual.bytes !== expected.bytes || actual.sha256 !== expected.sha256)
      throw corrupt(
        path,
        'DIGEST_MISMATCH',
        `${path} is not the file that the manifest names: its digest or size differs`,
      );
  }
}

/** Regular files below `folder`, paths with forward slashes, sorted. @throws DmoermError DATA_LOSS for links and devices. */
export async function listFiles(folder: string, prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for (const name of (await readdir(join(folder, prefix))).sort()) {
    const path = prefix === '' ? name : `${prefix}/${name}`;
    const info = await lstat(join(folder, path));
    if (info.isDirectory()) found.push(...(await listFiles(folder, path)));
    else if (info.isFile()) found.push(path);
    else throw corrupt(path, 'NOT_A_FILE', `${path} is a link or device; a bundle holds plain files only`);
  }
  return found;
}

/** @throws DmoermError DATA_LOSS for paths that could leave the folder or mean different files on different systems. */
export function refuseTricks(path: string): void {
  const parts = path.split('/');

  const odd =
    /[\\:\u0000-\u001f]/.test(path) || parts.some((part) => part === '' || part === '.' || part === '..');
  if (odd || path.length > 512)
    throw corrupt(
      path,
      'BAD_PATH',
      'a path in the manifest is not a plain relative path with forward slashes',
    );
}

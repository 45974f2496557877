import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a file or folder unless it is there; it appears whole or not at all.
 * @returns `path`
 */
export async function makeOnce(path: string, make: (draft: string) => Promise<void>): Promise<string> {
  if (existsSync(path)) return path;
  const draft = `${path}.draft`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(dirname(path), { recursive: true });
  await make(draft);
  await rename(draft, path);
  return path;
}

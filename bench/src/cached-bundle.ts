import { homedir } from 'node:os';
import { join } from 'node:path';
import { openBundle, type Bundle } from '@dmoerm/bundle';

/** The commands' folder of bases and bundles. */
export const CACHE_DIR = process.env['DMOERM_CACHE'] ?? join(homedir(), '.cache', 'dmoerm');

/** A verified bundle by directory, digest or known name, its base from the cache of the commands. */
export function openCachedBundle(reference: string): Promise<Bundle> {
  return openBundle(reference, { cacheDir: CACHE_DIR });
}

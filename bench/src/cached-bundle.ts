import { homedir } from 'node:os';
import { join } from 'node:path';
import { openBundle, type Bundle } from '@dmoerm/bundle';

/** A verified bundle by directory, digest or known name, its base from the cache of the commands. */
export function openCachedBundle(reference: string): Promise<Bundle> {
  const cacheDir = process.env['DMOERM_CACHE'] ?? join(homedir(), '.cache', 'dmoerm');
  return openBundle(reference, { cacheDir });
}

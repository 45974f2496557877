import { unwatchFile, watchFile } from 'node:fs';

/** Often enough for a certificate, and next to nothing to do. */
const INTERVAL_MS = 1_000;

/**
 * Calls `changed` after one of the files has changed, until the function that it returns is called. It asks for the times
 * of the files every second: notifications get lost where a cluster swaps the links above mounted secrets.
 */
export function watchFiles(paths: readonly string[], changed: () => void): () => void {
  const listener = (): void => changed();
  for (const path of paths) watchFile(path, { interval: INTERVAL_MS, persistent: false }, listener);
  return () => {
    for (const path of paths) unwatchFile(path, listener);
  };
}

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PEERS_DIR } from '../paths';

/** Interpreter with torch, transformers and PEFT; null if `npm run bench:peers` has not installed it. */
export function peerPython(): string | null {
  return whole(join(PEERS_DIR, 'python'), 'installed.txt', join('bin', 'python'));
}

/** Folder with node-llama-cpp; null if `npm run bench:peers` has not installed it. */
export function peerNode(): string | null {
  return whole(join(PEERS_DIR, 'node'), 'installed.json', '');
}

/** The installer leaves its stamp last. */
function whole(folder: string, stamp: string, path: string): string | null {
  return existsSync(join(folder, stamp)) ? join(folder, path) : null;
}

import { join } from 'node:path';

/** The repository. */
export const ROOT = join(__dirname, '..', '..');
/** Scripts that run as peers. */
export const PEER_SCRIPTS = join(ROOT, 'bench', 'peers');
/** What `npm run bench:peers` installed. */
export const PEERS_DIR = join(ROOT, '.tools', 'peers');
/** Generated models; may be removed at any time. */
export const MODELS_DIR = join(ROOT, '.tools', 'bench');

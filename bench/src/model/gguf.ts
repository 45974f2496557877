import { execFile } from 'node:child_process';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { MODELS_DIR, PEER_SCRIPTS } from '../paths';
import { peerPython } from '../peers/installed';
import { progress } from '../progress';
import { makeOnce } from './whole';

/** Types of weights that are written for llama.cpp. */
export type GgufType = 'f32' | 'f16' | 'bf16' | 'q8_0';

/** What becomes a GGUF file. */
export interface GgufSource {
  /** A Hugging Face folder, a PEFT folder, or a GGUF file of another type. */
  readonly kind: 'base' | 'adapter' | 'requantise';
  readonly path: string;
}

/** The same weights as a GGUF file for llama.cpp, written when it is first asked for; needs the peers' Python. */
export function ggufOf({ kind, path }: GgufSource, type: GgufType): Promise<string> {
  const name = `${basename(path).replace(/\.gguf$/, '')}-${type}.gguf`;
  // An adapter's folder tells its base.
  const folder = kind === 'adapter' ? `${basename(join(path, '..'))}-` : '';
  return makeOnce(join(MODELS_DIR, 'gguf', `${folder}${name}`), async (draft) => {
    progress(`writing ${folder}${name} for llama.cpp (once)`);
    const script = join(PEER_SCRIPTS, 'to_gguf.py');
    await promisify(execFile)(peerPython() ?? 'python3', [script, kind, path, type, draft]);
  });
}

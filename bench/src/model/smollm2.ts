import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../paths';
import { progress } from '../progress';

/** GGUF file of SmolLM2-135M-Instruct (Q4_1), fetched when it is not in the cache; null, with the reason printed, if it cannot be had. */
export function smollm2Base(): string | null {
  const cli = join(ROOT, 'apps', 'cli', 'bin', 'dmoerm.js');
  const pull = spawnSync(process.execPath, [cli, 'base', 'pull', 'smollm2-135m'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const path = pull.stdout.trim().split('\n').at(-1);
  if (pull.status === 0 && path) return path;
  progress(`SmolLM2-135M is skipped: ${pull.stderr.trim().split('\n').at(-1) ?? 'it cannot be fetched'}`);
  return null;
}

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** An interpreter with tools/goldens/requirements.txt installed: the peer is measured only where it is named. */
const PYTHON = process.env['DMOERM_PEER_PYTHON'];

/** Prefill speed of transformers on the same file, float32; null without the peer's interpreter. */
export function transformersTokensPerSecond(
  gguf: string,
  tokens: number,
  threads: number,
  repeats: number,
): number | null {
  if (PYTHON === undefined) return null;
  const script = join(__dirname, '..', '..', 'tools', 'goldens', 'speed.py');
  const options = ['--threads', `${threads}`, '--lengths', `${tokens}`, '--repeats', `${repeats}`];
  const run = spawnSync(PYTHON, [script, gguf, ...options], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`the peer failed: ${run.stderr.trim().split('\n').at(-1) ?? ''}`);
  return (JSON.parse(run.stdout) as { tokens_per_second: number }).tokens_per_second;
}

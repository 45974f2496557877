import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a process holds after garbage collection. */
export interface Memory {
  /** Resident bytes. */
  readonly rss: number;
  /** Bytes of JavaScript objects and of what they own. */
  readonly live: number;
  /** Open file descriptors. */
  readonly files: number;
}

/** The probe, compiled. */
const PROBE = join(__dirname, '..', '..', '..', 'dist', 'faults', 'support', 'probe.js');

/** Settings that load the probe into a process and its children. */
export function probed(folder: string, leakBytes: number): Readonly<Record<string, string>> {
  return {
    NODE_OPTIONS: `--require ${PROBE}`,
    PROBE_FOLDER: folder,
    PROBE_LEAK_BYTES: `${leakBytes}`,
  };
}

/** Asks the probed services below `parent` for their memory, by the name of the service. */
export async function sampleMemory(parent: number, folder: string): Promise<Map<string, Memory>> {
  const lines = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', `${parent}`], { encoding: 'utf8' });
  const samples = new Map<string, Memory>();
  for (const [, pid, name] of lines.matchAll(/^\s*(\d+) .*services\/(router|expert|aggregator)\/.*$/gm)) {
    const file = join(folder, `${pid}.json`);
    rmSync(file, { force: true });
    process.kill(Number(pid), 'SIGUSR2');
    while (!existsSync(file)) await sleep(5);
    samples.set(name ?? '', JSON.parse(readFileSync(file, 'utf8')) as Memory);
  }
  return samples;
}

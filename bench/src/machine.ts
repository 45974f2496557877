import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { ROOT } from './paths';

/** Processor features that decide which kernels run. */
const FEATURES = [
  'avx2',
  'avx512f',
  'avx512_bf16',
  'avx512_vnni',
  'avx_vnni',
  'amx_tile',
  'amx_bf16',
  'amx_int8',
];

/** Taken when the program starts: later it would be its own. */
const LOAD = Number((loadavg()[0] ?? 0).toFixed(2));

/** What the figures were taken on, and of what. */
export interface Machine {
  readonly processor: string;
  /** Those of interest that the processor has; empty where the system does not tell. */
  readonly features: readonly string[];
  readonly cores: number;
  readonly memory_gib: number;
  /** Load average of the minute before anything was measured. */
  readonly load: number;
  readonly node: string;
  /** Of this repository, `-dirty` if tracked files differ from it. */
  readonly commit: string;
  /** Version of each peer that took part. */
  readonly peers: Readonly<Record<string, string>>;
}

/** This machine. */
export function describeMachine(peers: Readonly<Record<string, string>> = {}): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    features: processorFeatures(),
    cores: availableParallelism(),
    memory_gib: Math.round(totalmem() / 2 ** 30),
    load: LOAD,
    node: process.version,
    commit: commit(),
    peers,
  };
}

/** Features of interest that this processor has. */
export function processorFeatures(): string[] {
  try {
    const flags = new Set(
      /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(/\s+/) ?? [],
    );
    return FEATURES.filter((feature) => flags.has(feature));
  } catch {
    return [];
  }
}

function commit(): string {
  try {
    const args = ['describe', '--always', '--dirty', '--exclude=*'];
    return execFileSync('git', args, {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchRecord } from './records';
import { ROOT } from './paths';
import { progress } from './progress';

/** The benchmark of the native engine's ops. */
export const NATIVE_BENCH = join(ROOT, 'native', 'build', 'gemm_bench');

/** The same of the GPU's kernels. */
export const GPU_BENCH = join(ROOT, 'native', 'build-cuda', 'gpu_bench');

/** The machine's peak in GFLOP/s (int8: GOP/s) on `threads` threads by type of weights, as the native bench measures it; empty without it. */
export function measurePeaks(threads: number): ReadonlyMap<string, number> {
  if (!existsSync(NATIVE_BENCH)) {
    progress('native/build/gemm_bench is missing: no share of the peak');
    return new Map();
  }
  const records = recordsOf(NATIVE_BENCH, ['--peak', '--threads', `${threads}`]);
  // As in `bf16 2 threads, vdpbf16ps zmm`.
  const pattern = new RegExp(`^(\\w+) ${threads} threads?\\b`);
  return new Map(
    records.flatMap(({ metric, case: name = '', value }) => {
      const type = pattern.exec(name)?.[1];
      return metric === 'peak' && type !== undefined && value !== undefined ? [[type, value] as const] : [];
    }),
  );
}

/** The first GPU's peak in GFLOP/s by type of weights, as `gpu_bench` measures it; empty without it. */
export function measureGpuPeaks(): ReadonlyMap<string, number> {
  if (!existsSync(GPU_BENCH)) {
    progress('native/build-cuda/gpu_bench is missing: no share of the peak');
    return new Map();
  }
  const found = recordsOf(GPU_BENCH, ['--limits']).find(({ case: name }) => name === 'bf16 on tensor cores');
  return new Map(found?.value === undefined ? [] : [['bf16', found.value * 1e3]]);
}

function recordsOf(program: string, args: readonly string[]): Partial<BenchRecord>[] {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as Partial<BenchRecord>);
}

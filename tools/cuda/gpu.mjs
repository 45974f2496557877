// The engine built for GPUs, and the GPUs of this machine.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { build, ROOT, step } from '../steps.mjs';
import { cudaCompiler } from './toolchain.mjs';

/** Where the build for GPUs is; `ADDON` is what node-gyp-build is told. */
export const FOLDER = `${ROOT}/native/build-cuda`;
const ADDON = `${FOLDER}/addon`;

/** The names of this machine's GPUs, as its driver has them; empty without one. */
export function gpus() {
  const { status, stdout } = spawnSync('nvidia-smi', ['--query-gpu=name', '--format=csv,noheader'], {
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim().split('\n').filter(Boolean) : [];
}

/** The environment in which Node loads the addon that was built for GPUs. */
export function gpuEnvironment() {
  return { ...process.env, '@DMOERM/NATIVE_PREBUILD': ADDON };
}

/** This machine's own compiler, or that of the wheels; or the `reason` why there is none. */
export function findCompiler() {
  return spawnSync('nvcc', ['--version']).status === 0 ? { compiler: 'nvcc' } : cudaCompiler();
}

/**
 * Compiles the back end anew: what the assembler says of a kernel is printed only then.
 * @returns what the compilers printed; null if they failed.
 */
export function compileKernels(compiler) {
  const configured = step('configuring for GPUs', 'cmake', [
    ...['-S', `${ROOT}/native`, '-B', FOLDER, `-DCMAKE_CUDA_COMPILER=${compiler}`],
    ...['-DDMOERM_CUDA=ON', '-DDMOERM_TESTS=ON', '-DDMOERM_BENCH=ON'],
  ]);
  for (const part of ['dmoerm_cuda', 'dmoerm_cuda_hopper'])
    rmSync(`${FOLDER}/src/cuda/CMakeFiles/${part}.dir`, { recursive: true, force: true });
  if (!configured.ok) return null;
  // The folder of the objects has to be made again too.
  spawnSync('cmake', ['-S', `${ROOT}/native`, '-B', FOLDER]);
  const built = step('compiling for sm_80, 86, 89, 90, 90a and PTX', 'cmake', [
    ...['--build', FOLDER, '--parallel', '2', '--target', 'dmoerm_cuda'],
  ]);
  return built.ok ? built.stdout + built.stderr : null;
}

/**
 * Builds addon, tests and benchmark around the compiled back end.
 * @returns whether it succeeded.
 */
export function buildAround() {
  const built = step('building what runs on GPUs', 'cmake', [
    ...['--build', FOLDER, '--parallel', '2', '--target', 'dmoerm_addon'],
    ...['gpu_ops_test', 'gpu_gradients_test', 'gpu_bench'],
  ]);
  if (!built.ok) return false;
  mkdirSync(`${ADDON}/build/Release`, { recursive: true });
  copyFileSync(`${FOLDER}/Release/dmoerm.node`, `${ADDON}/build/Release/dmoerm.node`);
  return true;
}

/**
 * Builds the workspace and all that runs on GPUs; what was built before is taken as it is where `--built` is said, for machines with a
 * GPU and nothing else.
 * @returns whether all is there.
 */
export function buildForGpus(args) {
  if (args.includes('--built')) return true;
  build();
  const { compiler, reason } = findCompiler();
  if (!compiler) process.stderr.write(`no CUDA compiler: ${reason}\n`);
  return Boolean(compiler) && compileKernels(compiler) !== null && buildAround();
}

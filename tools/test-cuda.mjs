// `npm run test:cuda`: the CUDA back end without a GPU. Its kernels on an emulated one, engine and all; and where the
// toolchain can be fetched, the back end compiled for every GPU, its kernels held against their limits.
import { spawnSync } from 'node:child_process';
import { buildAround, compileKernels, findCompiler, FOLDER, gpuEnvironment, gpus } from './cuda/gpu.mjs';
import { judge, readAssembler } from './cuda/kernels.mjs';
import { BEFORE_HOPPER, emulatedEnvironment, engineSpecs, gpuSpecs } from './cuda/specs.mjs';
import { build, ROOT, step } from './steps.mjs';

build();
let passed = 0;
let failed = 0;
const count = (good, bad) => {
  passed += good;
  failed += bad;
};
const check = (ok) => count(ok ? 1 : 0, ok ? 0 : 1);

const launches = new Map();
for (const [name, label, env] of [
  ['machine', 'machine', {}],
  ['ops', 'ops', {}],
  ['ops', 'ops before Hopper', BEFORE_HOPPER],
  ['gradients', 'gradients', {}],
]) {
  const program = `${ROOT}/native/build/cuda_${name}_test`;
  const { ok, stdout } = step(`emulated GPU: ${label}`, program, ['--launches'], {
    env: { ...process.env, ...env },
  });
  const [, good, bad] = /(\d+) passed, (\d+) failed\s*$/.exec(stdout) ?? ['', 0, 1];
  count(Number(good), Math.max(Number(bad), ok ? 0 : 1));
  for (const [, kernel, threads, bytes] of stdout.matchAll(/^launch\t(.+)\t(\d+)\t(\d+)$/gm))
    launches.set(kernel, { threads: Number(threads), sharedBytes: Number(bytes) });
}
for (const [label, env, pattern, ...specs] of [
  ['goldens', {}, '', 'src/goldens.spec.ts'],
  ['goldens before Hopper', BEFORE_HOPPER, 'bf16', 'src/goldens.spec.ts'],
  ['generation, boundary', {}, '', 'src/generation.spec.ts', 'src/boundary.spec.ts'],
  ['batch invariance', {}, '(f32|bf16|int8) weights', 'src/invariance.spec.ts'],
  ['training', {}, '^(?!.* on (reference|avx2)$)', 'src/gradients.spec.ts', 'src/trainer.spec.ts'],
]) {
  const environment = { ...emulatedEnvironment(), ...env };
  const run = gpuSpecs(`engine on an emulated GPU: ${label}`, environment, pattern, ...specs);
  count(run.passed, run.failed);
}

const { compiler, reason } = findCompiler();
if (compiler) compile(compiler);
else process.stdout.write(`skipped: compiling for GPUs (${reason})\n`);
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

function compile(nvcc) {
  const printed = compileKernels(nvcc);
  check(printed !== null);
  if (printed === null) return;
  const { rows, wrong } = judge(readAssembler(demangle(printed)), launches);
  print(rows);
  for (const what of wrong) process.stdout.write(`${what}\n`);
  check(wrong.length === 0);
  check(spillIsSeen(nvcc));
  const built = buildAround();
  check(built);
  if (!built) return;
  // Test and benchmark say what they lack without a GPU.
  for (const program of ['gpu_ops_test', 'gpu_gradients_test', 'gpu_bench']) {
    const { ok, stdout } = step(program, `${FOLDER}/${program}`, ['--quick']);
    check(ok && (gpus().length > 0 || stdout.startsWith('no GPU: not run')));
  }
  const { stdout } = step('libraries of the addon', 'ldd', [`${FOLDER}/Release/dmoerm.node`]);
  check(stdout.length > 0 && !/cuda|nvidia/i.test(stdout));
  const run = engineSpecs('the addon as it is', gpuEnvironment(), '', 'src/boundary.spec.ts');
  count(run.passed, run.failed);
}

function demangle(text) {
  return spawnSync('c++filt', { input: text, encoding: 'utf8', maxBuffer: 1 << 28 }).stdout;
}

function print(rows) {
  const table = rows.map((row) => [
    row.name,
    row.architecture,
    ...[row.registers, row.threads, row.sharedBytes, row.spills, `${(100 * row.share).toFixed(0)} %`].map(
      String,
    ),
  ]);
  table.unshift(['kernel', 'GPU', 'registers', 'threads', 'shared', 'spills', 'occupancy']);
  const widths = table[0].map((_, i) => Math.max(...table.map((row) => row[i].length)));
  for (const row of table)
    process.stdout.write(
      `${row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')}\n`,
    );
}

/** Negative control: a kernel that cannot but spill. */
function spillIsSeen(nvcc) {
  const source = `${ROOT}/native/tests/cuda/spills.cu`;
  const { stdout, stderr, ok } = step('a kernel that spills is seen', nvcc, [
    ...['-arch=sm_80', '-Xptxas=-v', '-c', source, '-o', `${FOLDER}/spills.o`],
  ]);
  return ok && readAssembler(demangle(stdout + stderr)).some(({ spills }) => spills > 0);
}

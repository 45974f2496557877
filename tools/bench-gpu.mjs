// `npm run bench:gpu [-- --quick]`: every kernel against the GPU's roofline, then the engine's benchmarks on the GPU: prefill
// beside transformers, what adapters cost against K, N and T, the sharing plans beside PEFT. Without a GPU it says so and ends well.
import { spawnSync } from 'node:child_process';
import { buildAround, compileKernels, findCompiler, FOLDER, gpuEnvironment, gpus } from './cuda/gpu.mjs';
import { build, ROOT } from './steps.mjs';

const [gpu] = gpus();
if (gpu === undefined) process.stdout.write('no GPU: not run\n');
else run(gpu, process.argv.slice(2));

function run(name, options) {
  process.stdout.write(`on ${name}\n`);
  build();
  const { compiler, reason } = findCompiler();
  if (!compiler) process.stderr.write(`no CUDA compiler: ${reason}\n`);
  if (!compiler || compileKernels(compiler) === null || !buildAround()) process.exit(1);
  const commands = [
    [`${FOLDER}/gpu_bench`, ...options],
    ...['prefill', 'lora', 'plans'].map((bench) => [
      process.execPath,
      ...[`${ROOT}/bench/dist/main.js`, bench, ...(bench === 'lora' ? [] : ['--gpu']), ...options],
    ]),
  ];
  for (const [command, ...args] of commands) {
    const { status } = spawnSync(command, args, { stdio: 'inherit', env: gpuEnvironment() });
    if (status !== 0) process.exitCode = 1;
  }
}

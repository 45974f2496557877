// `npm run bench:gpu [-- --quick]`: every kernel against the GPU's roofline, then the engine's benchmarks on the GPU: prefill
// beside transformers, what adapters cost against K, N and T, the sharing plans and training beside PEFT. Without a GPU it says
// so and ends well. `--built` takes what was built before.
import { spawnSync } from 'node:child_process';
import { buildForGpus, FOLDER, gpuEnvironment, gpus } from './cuda/gpu.mjs';
import { ROOT } from './steps.mjs';

const [gpu] = gpus();
if (gpu === undefined) process.stdout.write('no GPU: not run\n');
else run(gpu, process.argv.slice(2));

function run(name, args) {
  process.stdout.write(`on ${name}\n`);
  if (!buildForGpus(args)) process.exit(1);
  const options = args.filter((arg) => arg !== '--built');
  const commands = [
    [`${FOLDER}/gpu_bench`, ...options],
    ...['prefill', 'lora', 'plans', 'train'].map((bench) => [
      process.execPath,
      ...[`${ROOT}/bench/dist/main.js`, bench, '--gpu', ...options],
    ]),
  ];
  for (const [command, ...args] of commands) {
    const { status } = spawnSync(command, args, { stdio: 'inherit', env: gpuEnvironment() });
    if (status !== 0) process.exitCode = 1;
  }
}

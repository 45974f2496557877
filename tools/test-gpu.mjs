// `npm run test:gpu`: the tests of `npm run test:cuda` on a real GPU, under compute-sanitizer too where that is installed.
// Without a GPU it says so and ends well. `--built` takes what was built before.
import { spawnSync } from 'node:child_process';
import { gpuSpecs } from './cuda/specs.mjs';
import { buildForGpus, FOLDER, gpuEnvironment, gpus } from './cuda/gpu.mjs';
import { step } from './steps.mjs';

const [gpu] = gpus();
if (gpu === undefined) process.stdout.write('no GPU: not run\n');
else run(gpu);

function run(name) {
  process.stdout.write(`on ${name}\n`);
  if (!buildForGpus(process.argv)) process.exit(1);
  let passed = 0;
  let failed = 0;
  const count = ({ ok, stdout }) => {
    const [, good, bad] = /(\d+) passed, (\d+) failed\s*$/m.exec(stdout) ?? ['', 0, 1];
    passed += Number(good);
    failed += Math.max(Number(bad), ok ? 0 : 1);
  };
  const sanitizer = spawnSync('compute-sanitizer', ['--version']).status === 0;
  if (!sanitizer) process.stdout.write('skipped: compute-sanitizer (not installed)\n');
  for (const name of ['ops', 'gradients']) {
    const test = `${FOLDER}/gpu_${name}_test`;
    count(step(name, test, []));
    for (const tool of sanitizer ? ['memcheck', 'racecheck', 'synccheck', 'initcheck'] : [])
      count(
        step(`${name} under ${tool}`, 'compute-sanitizer', ['--error-exitcode', '1', '--tool', tool, test]),
      );
  }
  for (const [label, pattern, ...specs] of [
    ['goldens', '', 'src/goldens.spec.ts'],
    ['generation, boundary', '', 'src/generation.spec.ts', 'src/boundary.spec.ts'],
    ['batch invariance', '(f32|bf16|int8) weights', 'src/invariance.spec.ts'],
    ['training', '^(?!.* on (reference|avx2)$)', 'src/gradients.spec.ts', 'src/trainer.spec.ts'],
  ]) {
    const result = gpuSpecs(`engine on the GPU: ${label}`, gpuEnvironment(), pattern, ...specs);
    passed += result.passed;
    failed += result.failed;
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

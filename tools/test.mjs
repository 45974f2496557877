// `npm test`: builds what is missing, runs everything, ends with a line `N passed, N failed`.
import { readdirSync } from 'node:fs';
import { build, ROOT, step } from './steps.mjs';

build();
let passed = 0;
let failed = 0;
let skipped = 0;

const check = (label, command, args) => (step(label, command, args).ok ? passed++ : failed++);
check('linting protos', 'npx', ['buf', 'lint', 'protos']);

for (const name of ['ops', 'decode', 'thread_pool']) {
  const { stdout } = step(`native ${name}`, `${ROOT}/native/build/${name}_test`, []);
  const [, good, bad] = /(\d+) passed, (\d+) failed/.exec(stdout) ?? [null, 0, 1];
  passed += Number(good);
  failed += Number(bad);
}

for (const folder of ['packages', 'services'])
  for (const name of readdirSync(`${ROOT}/${folder}`)) {
    if (!hasSpecs(`${ROOT}/${folder}/${name}/src`)) continue;
    const { ok, stdout } = step(`${folder}/${name}`, 'timeout', ['600', 'npx', 'jest', '--forceExit', '--json', '--silent'], {
      cwd: `${ROOT}/${folder}/${name}`,
    });
    try {
      const result = JSON.parse(stdout.slice(stdout.indexOf('{')));
      passed += result.numPassedTests;
      failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
      skipped += result.numPendingTests;
    } catch {
      if (!ok) failed++;
    }
  }

process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

function hasSpecs(folder) {
  try {
    return readdirSync(folder, { recursive: true }).some((file) => file.endsWith('.spec.ts'));
  } catch {
    return false;
  }
}

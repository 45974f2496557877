// `npm run test:deploy`: installs helm and kubeconform where go is there, then checks what deploy/ holds.
import { spawnSync } from 'node:child_process';
import { build, ROOT, step } from './steps.mjs';

build({ native: false });
spawnSync(process.execPath, [`${ROOT}/deploy/scripts/tools.mjs`], { stdio: 'inherit' });
const { ok, stdout, stderr } = step('deploy', 'npx', ['jest', '--forceExit', '--json'], {
  cwd: `${ROOT}/deploy`,
});
process.stdout.write((stderr.match(/^skipped: .*$/gm) ?? []).map((line) => `${line}\n`).join(''));
const { numPassedTests, numPendingTests, numFailedTests, numRuntimeErrorTestSuites } = JSON.parse(
  stdout.slice(stdout.indexOf('{"')),
);
if (numPendingTests > 0) process.stdout.write(`${numPendingTests} skipped\n`);
const failed = Math.max(numFailedTests + numRuntimeErrorTestSuites, ok ? 0 : 1);
process.stdout.write(`${numPassedTests} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && numPassedTests > 0 ? 0 : 1;

// The engine's own specs on another addon than the one that `npm run build` makes.
import { ROOT, step } from '../steps.mjs';

/** In this environment the emulated GPU, a Hopper, is one before it. */
export const BEFORE_HOPPER = { DMOERM_EMULATE_AMPERE: '1' };

/** The environment in which Node loads the addon's twin, whose CUDA back end is an emulated GPU. */
export function emulatedEnvironment() {
  return { ...process.env, '@DMOERM/NATIVE_PREBUILD': `${ROOT}/native/build/emulated` };
}

/**
 * Runs specs of packages/engine; those that `gpuSpecs` runs fail where the addon finds no GPU.
 * @param env Says which addon; no shell may come between, it would drop the variable for its name.
 * @param pattern Names of the tests.
 * @returns how many passed and failed.
 */
export function engineSpecs(label, env, pattern, ...specs) {
  return run(label, env, {}, pattern, specs);
}

/** The same on an addon that has a GPU, emulated or not. */
export function gpuSpecs(label, env, pattern, ...specs) {
  return run(label, env, { gpu: true }, pattern, specs);
}

function run(label, env, globals, pattern, specs) {
  const jest = [
    `${ROOT}/node_modules/jest/bin/jest.js`,
    ...['--forceExit', '--json', '--silent', '--runInBand', '--testTimeout=600000'],
    ...['--globals', JSON.stringify(globals), '--testNamePattern', pattern, ...specs],
  ];
  const { ok, stdout } = step(label, process.execPath, jest, { cwd: `${ROOT}/packages/engine`, env });
  try {
    const result = JSON.parse(stdout.slice(stdout.indexOf('{')));
    return {
      passed: result.numPassedTests,
      failed: Math.max(result.numFailedTests + result.numRuntimeErrorTestSuites, ok ? 0 : 1),
    };
  } catch {
    return { passed: 0, failed: 1 };
  }
}

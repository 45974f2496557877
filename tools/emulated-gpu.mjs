// The engine's own specs on the emulated GPU: the addon's twin, whose CUDA back end runs its kernels on the CPU.
import { ROOT, step } from './steps.mjs';

/**
 * Runs specs of packages/engine with `isa: 'auto'` being the emulated GPU.
 * @param pattern Names of the tests.
 * @returns how many passed and failed.
 */
export function emulatedSpecs(label, pattern, ...specs) {
  const { ok, stdout } = step(
    `engine on an emulated GPU: ${label}`,
    process.execPath,
    [
      `${ROOT}/node_modules/jest/bin/jest.js`,
      ...['--forceExit', '--json', '--silent', '--runInBand', '--testTimeout=600000'],
      ...['--testNamePattern', pattern, ...specs],
    ],
    {
      cwd: `${ROOT}/packages/engine`,
      // What node-gyp-build asks for the package's name; a shell between would drop it.
      env: { ...process.env, '@DMOERM/NATIVE_PREBUILD': `${ROOT}/native/build/emulated` },
    },
  );
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

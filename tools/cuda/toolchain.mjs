// `npm run cuda-toolchain`: nvcc from its PyPI wheels, in .tools/cuda; prints the compiler's path.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../steps.mjs';

/** All pinned: the compiler's own requirements carry no versions, so that pip would mix in parts of a newer one. */
const WHEELS = [
  'nvidia-cuda-nvcc==13.0.88',
  'nvidia-cuda-crt==13.0.88',
  'nvidia-nvvm==13.0.88',
  'nvidia-cuda-runtime==13.0.96',
  'nvidia-cuda-cccl==13.0.85',
];

/**
 * The CUDA compiler of the wheels; fetched if it is not there yet.
 * @returns `compiler`, or the `reason` why there is none.
 */
export function cudaCompiler() {
  const venv = `${ROOT}/.tools/cuda`;
  const done = `${venv}/installed-${WHEELS[0].split('==')[1]}`;
  if (!existsSync(done)) {
    rmSync(venv, { recursive: true, force: true });
    const run = (command, ...args) => spawnSync(command, args, { encoding: 'utf8' });
    if (run('python3', '-m', 'venv', venv).status !== 0)
      return { reason: 'no python3 with venv; Debian: apt-get install python3-venv' };
    const pip = run(`${venv}/bin/pip`, 'install', '-q', '--disable-pip-version-check', ...WHEELS);
    if (pip.status !== 0) return { reason: `pip cannot install ${WHEELS[0]}: ${lastLine(pip.stderr)}` };
    // nvcc looks for its libraries in lib64, the wheels have lib.
    symlinkSync('lib', `${rootOf(venv)}/lib64`);
    writeFileSync(done, '');
  }
  return { compiler: `${rootOf(venv)}/bin/nvcc` };
}

function rootOf(venv) {
  const python = readdirSync(`${venv}/lib`).find((name) => name.startsWith('python'));
  return `${venv}/lib/${python}/site-packages/nvidia/cu13`;
}

function lastLine(text) {
  return text.trim().split('\n').at(-1) ?? '';
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { compiler, reason } = cudaCompiler();
  process.stdout.write(`${compiler ?? `no CUDA compiler: ${reason}`}\n`);
  process.exitCode = compiler ? 0 : 1;
}

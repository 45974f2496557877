// Steps that bring a fresh clone to a built tree; shared by `npm run demo` and `npm test`. Plain node: nothing is installed yet.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a command; quiet unless it fails. Returns what it printed. */
export function step(label, command, args, options = {}) {
  const start = Date.now();
  process.stdout.write(`${label} ... `);
  const run = spawnSync(command, args, {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, NX_DAEMON: 'false' },
    ...options,
  });
  process.stdout.write(
    `${run.status === 0 ? 'ok' : 'FAILED'} (${((Date.now() - start) / 1000).toFixed(1)} s)\n`,
  );
  if (run.status !== 0)
    process.stderr.write(`${run.stdout ?? ''}${run.stderr ?? ''}${run.error?.message ?? ''}\n`);
  return { ok: run.status === 0, stdout: run.stdout ?? '', stderr: run.stderr ?? '' };
}

/**
 * Checks the tools, installs packages, builds the engine (unless `native` is false) and the services. Exits with 2 and the remedy if
 * something is missing.
 */
export function build({ native = true } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    stop(`node ${process.version} is too old; 20.19 or later is needed`);
  for (const [tool, remedy] of [
    ['cmake', 'Debian, Ubuntu: apt-get install cmake; Fedora: dnf install cmake; macOS: brew install cmake'],
    [
      'c++',
      'Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install',
    ],
  ])
    if (native && spawnSync(tool, ['--version']).status !== 0) stop(`${tool} is not installed. ${remedy}`);
  const lock = `${ROOT}/node_modules/.package-lock.json`;
  if (!existsSync(lock) || statSync(lock).mtimeMs < statSync(`${ROOT}/package-lock.json`).mtimeMs)
    must(step('installing packages', 'npm', ['ci']));
  if (native) must(step('building the native engine', 'npm', ['run', 'build', '-w', 'native']));
  must(step('generating protos', 'npm', ['run', 'generate', '-w', 'protos']));
  must(step('compiling', 'npx', ['tsc', '-b', ...PROJECTS]));
  must(step('building the playground', 'npx', ['nx', 'run', '@dmoerm/playground:build']));
}

const PROJECTS = [
  'apps/cli',
  'bench',
  'deploy',
  'e2e',
  'services/router',
  'services/expert',
  'services/aggregator',
  'services/gateway',
  'packages/testing',
  'packages/client',
];

function must({ ok }) {
  if (!ok) stop('the step above failed');
}

function stop(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

// `npm test`: builds what is missing, runs everything, ends with a line `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { BEFORE_HOPPER, emulatedEnvironment, gpuSpecs } from './cuda/specs.mjs';
import { build, ROOT, step } from './steps.mjs';

build();
let passed = 0;
let failed = 0;
let skipped = 0;

const check = (label, command, args, options) =>
  step(label, command, args, options).ok ? passed++ : failed++;
check('linting protos', 'npx', ['buf', 'lint', 'protos']);
const published = git('tag', '--list', 'v*', '--sort=-v:refname').split('\n')[0];
if (published)
  check('protos still compatible', 'npx', [
    'buf',
    'breaking',
    'protos',
    '--against',
    `.git#tag=${published},subdir=protos`,
  ]);
else process.stdout.write('skipped: protos still compatible (no release to compare with)\n');
// The rule on import directions reads Nx's graph of the projects from its cache, and without one is silently skipped.
check('project graph', 'npx', ['nx', 'show', 'projects']);
const lint = step('types and directions', 'npx', ['eslint', '.']);
lint.ok && !/rule will be skipped/.test(lint.stdout + lint.stderr) ? passed++ : failed++;
check('format of TypeScript', 'npx', ['prettier', '--check', '.']);
if (spawnSync('clang-format', ['--version']).status === 0)
  check('format of C++', 'clang-format', ['--dry-run', '--Werror', ...sources()]);
else process.stdout.write('skipped: format of C++ (no clang-format; pip install clang-format==19.1.7)\n');

const built = `${ROOT}/native/build`;
for (const [name, command, ...args] of [
  ...['ops', 'gradients', 'decode', 'thread_pool', 'packed_file', 'emulated'].map((one) => [
    one,
    `${built}/${one}_test`,
  ]),
  ...['machine', 'ops', 'gradients'].map((one) => [`cuda ${one}`, `${built}/cuda_${one}_test`]),
  ['cuda ops before Hopper', `${built}/cuda_ops_test`],
  ['object code', 'node', `${ROOT}/native/tests/object_code/object_code.mjs`, built],
]) {
  const env = { ...process.env, ...(name.endsWith('before Hopper') ? BEFORE_HOPPER : {}) };
  const { ok, stdout } = step(`native ${name}`, command, args, { env });
  const [last, good, bad] = /(\d+) passed, (\d+) failed\s*$/.exec(stdout) ?? ['', 0, 1];
  process.stdout.write(stdout.slice(0, stdout.length - last.length)); // what ran, and what did not and why
  passed += Number(good);
  failed += Math.max(Number(bad), ok ? 0 : 1);
}

for (const [label, pattern, spec] of [
  ['engine', '^base (?!llama (is close|long-llama))', 'goldens'],
  ['trainer', '^gradients-(bias|top2|readout|base-llama) has the gradients of PyTorch on auto', 'gradients'],
]) {
  const run = gpuSpecs(`${label} on an emulated GPU`, emulatedEnvironment(), pattern, `src/${spec}.spec.ts`);
  passed += run.passed;
  failed += run.failed;
}

// Before the rooms: a test runs the Python that the playground gives to copy.
const venv = pythonVenv();

const rooms = ['packages', 'services', 'apps'].flatMap((folder) =>
  readdirSync(`${ROOT}/${folder}`).map((name) => `${folder}/${name}`),
);
for (const room of [...rooms, 'bench', 'deploy', 'e2e'].filter((one) => hasSpecs(`${ROOT}/${one}/src`))) {
  const cwd = `${ROOT}/${room}`;
  const jest = ['1800', 'npx', 'jest', '--forceExit', '--json', '--silent'];
  const { ok, stdout, stderr } = step(room, 'timeout', jest, { cwd });
  for (const reason of stderr.match(/^skipped: .*$/gm) ?? []) process.stdout.write(`${reason}\n`);
  try {
    const result = JSON.parse(stdout.slice(stdout.indexOf('{')));
    passed += result.numPassedTests;
    skipped += result.numPendingTests;
    // A run that fails without a failed test (a leak, a crash at the end) counts as one failure.
    failed += Math.max(result.numFailedTests + result.numRuntimeErrorTestSuites, ok ? 0 : 1);
  } catch {
    failed++;
  }
}

if (venv !== null) python(venv);

if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

/** A venv with the Python client; null, with the reason printed, if there is none. */
function pythonVenv() {
  const room = `${ROOT}/clients/python`;
  const venv = `${room}/.venv`;
  const version = spawnSync(
    'python3',
    ['-c', 'import sys, venv, ensurepip; print(sys.version_info >= (3, 10))'],
    {
      encoding: 'utf8',
    },
  );
  if (version.status !== 0 || version.stdout.trim() !== 'True') {
    process.stdout.write(
      'skipped: clients/python (no python3 of 3.10 or later with venv; Debian: apt-get install python3-venv)\n',
    );
    return null;
  }
  const pip = ['install', '-q', '-r', `${room}/requirements-dev.txt`, '-e', room];
  const installed =
    step('installing Python packages', 'python3', ['-m', 'venv', venv]).ok &&
    step('  into the venv', `${venv}/bin/pip`, pip).ok;
  if (!installed) failed++;
  return installed ? venv : null;
}

/** Everything of the Python client. */
function python(venv) {
  const room = `${ROOT}/clients/python`;
  const options = { cwd: room };
  check('clients/python lint', `${venv}/bin/ruff`, ['check', 'src', 'tests'], options);
  check('clients/python format', `${venv}/bin/ruff`, ['format', '--check', 'src', 'tests'], options);
  check('clients/python types', `${venv}/bin/mypy`, [], options);
  const { ok, stdout } = step('clients/python', `${venv}/bin/pytest`, ['-q'], options);
  const count = (what) => Number(new RegExp(`(\\d+) ${what}`).exec(stdout)?.[1] ?? 0);
  passed += count('passed');
  skipped += count('skipped');
  failed += Math.max(count('failed') + count('error'), ok ? 0 : 1);
}

function git(...args) {
  return spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' }).stdout ?? '';
}

function sources() {
  return git('ls-files', 'native')
    .split('\n')
    .filter((file) => /\.(h|cpp|cu|inc)$/.test(file));
}

function hasSpecs(folder) {
  try {
    return readdirSync(folder, { recursive: true }).some((file) => file.endsWith('.spec.ts'));
  } catch {
    return false;
  }
}

// `npm run bench:peers`: installs what the benchmarks compare against, outside the product's dependencies, under `.tools/peers`:
// a Python environment (torch, transformers, PEFT), node-llama-cpp, and oneDNN's headers. What is there already is left alone.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { ROOT } from './steps.mjs';

const FOLDER = `${ROOT}/.tools/peers`;
const NODE_PEER = { 'node-llama-cpp': '3.22.0' };

mkdirSync(FOLDER, { recursive: true });
const done = [installPython(), installNode(), installOneDnn()];
process.exitCode = done.every(Boolean) ? 0 : 1;

/** torch, transformers and PEFT in the versions of the goldens: 6 GB, some minutes. */
function installPython() {
  const venv = `${FOLDER}/python`;
  const wanted = readFileSync(`${ROOT}/tools/goldens/requirements.txt`, 'utf8');
  const stamp = `${venv}/installed.txt`;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return say('python: is there');
  say('python: installing torch, transformers and PEFT; 6 GB, some minutes');
  const requirements = `${ROOT}/tools/goldens/requirements.txt`;
  if (!run('python3', ['-m', 'venv', venv])) return fail('python: needs python3 with its venv module');
  if (!run(`${venv}/bin/python`, ['-m', 'pip', 'install', '--quiet', '--no-cache-dir', '-r', requirements]))
    return fail('python: pip failed');
  writeFileSync(stamp, wanted);
  return say('python: installed');
}

/** node-llama-cpp with its prebuilt llama.cpp; its install script, which would look for a GPU or compile, does not run. */
function installNode() {
  const folder = `${FOLDER}/node`;
  const manifest = `${JSON.stringify({ private: true, dependencies: NODE_PEER }, null, 2)}\n`;
  const stamp = `${folder}/installed.json`;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === manifest) return say('node-llama-cpp: is there');
  say('node-llama-cpp: installing; 0.7 GB');
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/package.json`, manifest);
  if (!run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], folder))
    return fail('node-llama-cpp: npm failed');
  writeFileSync(stamp, manifest);
  return say('node-llama-cpp: installed');
}

/** oneDNN is the peer of the native matrix products alone; its package is the system's. */
function installOneDnn() {
  const headers = ['dnnl.hpp', 'oneapi/dnnl/dnnl.hpp'].map((file) => `/usr/include/${file}`);
  const packaged = spawnSync('pkg-config', ['--exists', 'dnnl']).status === 0;
  if (packaged || headers.some((file) => existsSync(file))) return say('oneDNN: is there');
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).status !== 0)
    return fail(
      'oneDNN: missing. Debian, Ubuntu: apt-get install libdnnl-dev; Fedora: dnf install onednn-devel',
    );
  say('oneDNN: installing libdnnl-dev');
  const installed =
    run('apt-get', ['install', '-y', '-qq', 'libdnnl-dev']) ||
    (run('apt-get', ['update', '-qq']) && run('apt-get', ['install', '-y', '-qq', 'libdnnl-dev']));
  return installed ? say('oneDNN: installed') : fail('oneDNN: apt-get failed');
}

function run(command, args, cwd = FOLDER) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return spawnSync(command, args, { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
}

function say(line) {
  process.stdout.write(`${line}\n`);
  return true;
}

function fail(line) {
  process.stderr.write(`${line}\n`);
  return false;
}

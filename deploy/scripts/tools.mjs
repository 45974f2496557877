// `npm run tools -w deploy`: helm, kubeconform, the schemas that it checks with, and definitions of custom resources, into .tools
// (git-ignored). What is there stays.
// Needs go; without it prints why and leaves the checks that need the tools to skip.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MODULES, copyDefinitions, writeSchemas } from './schemas.mjs';

const TOOLS = fileURLToPath(new URL('../../.tools', import.meta.url));
const PINS = {
  helm: 'helm.sh/helm/v3/cmd/helm@v3.22.0',
  kubeconform: 'github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0',
};

if (spawnSync('go', ['version']).status !== 0) {
  process.stdout.write('skipped: installing helm and kubeconform (no go)\n');
  process.exit();
}
const bin = `${TOOLS}/bin`;
mkdirSync(bin, { recursive: true });
for (const [name, module] of Object.entries(PINS))
  if (!existsSync(`${bin}/${name}`)) go(`installing ${name}`, 'install', module);
if (!existsSync(`${TOOLS}/schemas`) || !existsSync(`${TOOLS}/crds`)) {
  const folders = {};
  for (const [name, module] of Object.entries(MODULES)) {
    const found = go(`fetching the schemas of ${module}`, 'mod', 'download', '-json', module);
    if (found !== null) folders[name] = JSON.parse(found).Dir;
  }
  if (Object.keys(folders).length === Object.keys(MODULES).length) {
    rmSync(`${TOOLS}/schemas`, { recursive: true, force: true });
    rmSync(`${TOOLS}/crds`, { recursive: true, force: true });
    writeSchemas(folders, `${TOOLS}/schemas`);
    copyDefinitions(folders, `${TOOLS}/crds`);
  }
}

function go(label, ...args) {
  process.stdout.write(`${label}\n`);
  const env = { ...process.env, CGO_ENABLED: '0', GOBIN: bin };
  const { status, stdout, stderr } = spawnSync('go', args, { encoding: 'utf8', env });
  if (status === 0) return stdout;
  process.stdout.write(`skipped: ${label} (${stderr.trim().split('\n').at(-1)})\n`);
  return null;
}

// What `npm run test:observability` looks at the mesh with, into .tools/bin (git-ignored): a collector and Jaeger from Go modules (some ten
// minutes, once). Prometheus and Chromium come from Debian. What is missing is named with its remedy, and what needs it skips.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const TOOLS = fileURLToPath(new URL('../../.tools', import.meta.url));
const MANIFEST = fileURLToPath(new URL('../observability/collector-build.yaml', import.meta.url));
const BUILDER = 'go.opentelemetry.io/collector/cmd/builder@v0.162.0';
const JAEGER = 'github.com/jaegertracing/jaeger/cmd/jaeger@v1.76.0';
const LINK = ['-trimpath', '-ldflags', '-s -w'];

mkdirSync(`${TOOLS}/bin`, { recursive: true });
for (const [tool, remedy] of [
  ['prometheus', 'Debian: apt-get install prometheus'],
  ['chromium', 'Debian: apt-get install chromium'],
])
  if (spawnSync(tool, ['--version']).status !== 0) process.stdout.write(`missing: ${tool} (${remedy})\n`);
if (spawnSync('go', ['version']).status === 0) {
  make('jaeger', buildJaeger);
  make('otelcol', buildCollector);
} else process.stdout.write('skipped: building a collector and Jaeger (no go)\n');

function make(name, build) {
  if (existsSync(`${TOOLS}/bin/${name}`)) return;
  const folder = `${TOOLS}/build/${name}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  process.stdout.write(`building ${name}, which takes minutes\n`);
  try {
    build(folder, `${TOOLS}/bin/${name}`);
  } catch (error) {
    process.stdout.write(`skipped: ${name} (${error.message})\n`);
  }
}

/** \`go install\` refuses a module with replacements: it becomes a tool of a module of ours. */
function buildJaeger(folder, target) {
  run(folder, 'go', 'mod', 'init', 'tools/jaeger');
  run(folder, 'go', 'get', '-tool', JAEGER);
  run(folder, 'go', 'build', ...LINK, '-o', target, JAEGER.split('@')[0]);
}

/** The builder writes the program; its own way to fetch modules tidies, which asks for modules that no registry may have. */
function buildCollector(folder, target) {
  run(folder, 'go', 'install', BUILDER);
  const manifest = parse(readFileSync(MANIFEST, 'utf8'));
  writeFileSync(
    `${folder}/build.yaml`,
    JSON.stringify({ ...manifest, dist: { ...manifest.dist, output_path: folder } }),
  );
  run(folder, `${TOOLS}/bin/builder`, '--skip-get-modules', '--skip-compilation', '--config', 'build.yaml');
  if (!existsSync(`${folder}/go.mod`)) run(folder, 'go', 'mod', 'init', 'tools/otelcol');
  const { dist: _, ...kinds } = manifest;
  for (const { gomod } of Object.values(kinds).flat()) run(folder, 'go', 'get', gomod.replace(' ', '@'));
  run(folder, 'go', 'get', '.');
  run(folder, 'go', 'build', ...LINK, '-o', target, '.');
}

function run(cwd, command, ...args) {
  const env = { ...process.env, CGO_ENABLED: '0', GOBIN: `${TOOLS}/bin`, GOFLAGS: '-mod=mod' };
  const { status, stderr } = spawnSync('nice', [command, ...args], {
    cwd,
    env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim().split('\n').at(-1)}`);
}

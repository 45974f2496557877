// `npm run test:images [-- --json FILE]`: builds the images and runs the mesh from them, read-only and as nobody. Long; not in CI.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { absentPodman, buildImages, image, logLine, podman, ROOT } from './podman.mjs';

const absent = absentPodman();
if (absent !== null) {
  process.stdout.write(`skipped: images (${absent})\n0 passed, 0 failed\n`);
  process.exit();
}
const records = [];
const figures = new Map();
let [passed, failed] = [0, 0];
const names = buildImages();
const started = [];
try {
  for (const name of names) {
    figures.set(name, {
      image: name,
      megabytes: Math.round(podman('image', 'inspect', '--format', '{{.Size}}', image(name)) / 1e6),
    });
    const inside = (command) =>
      spawnSync(
        'podman',
        ['run', '--rm', '--read-only', '--network', 'none', '--entrypoint', 'sh', image(name), '-c', command],
        { encoding: 'utf8' },
      );
    check(name, 'runs as 65532', inside('id -u').stdout.trim() === '65532');
    check(name, 'holds no compiler', inside('command -v cc c++ gcc g++ clang cmake make').stdout === '');
    check(name, 'cannot write to its root', inside('touch /app/x').status !== 0);
    check(
      name,
      'is its own program at PID 1',
      /^\["(node|dmoerm)"/.test(
        podman('image', 'inspect', '--format', '{{json .Config.Entrypoint}}', image(name)),
      ),
    );
  }
  const expert = await start('expert', '--threads', '1');
  const aggregator = await start('aggregator');
  const router = await start('router', '--expert', expert, '--aggregator', aggregator);
  const gateway = await start('gateway', '--router', router);
  const args = ['score', 'examples/conversations.jsonl', '--output', 'jsonl'];
  const scored = spawnSync(
    'podman',
    [
      ...run('cli'),
      '--rm',
      '--volume',
      `${ROOT}/examples:/app/examples:ro`,
      image('cli'),
      ...args,
      '--address',
      router,
    ],
    { encoding: 'utf8' },
  );
  const here = spawnSync(process.execPath, [`${ROOT}/apps/cli/bin/dmoerm.js`, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  check(
    'mesh',
    'scores every good item of the examples',
    scored.status === 1 && rewards(scored.stdout).length > 5,
  );
  check(
    'mesh',
    'gives the bits that the mesh gives outside of containers',
    String(rewards(scored.stdout)) === String(rewards(here.stdout)),
  );
  check(
    'gateway',
    'gives the same bits over HTTP',
    String(rewards(await scoredOverHttp(gateway))) === String(rewards(here.stdout)),
  );
  const page = await (await fetch(`http://${gateway}/`)).text();
  const [, script] = /<script[^>]* src="(\/assets\/[^"]+)"/.exec(page) ?? [];
  check(
    'gateway',
    'serves the playground',
    script !== undefined && (await fetch(`http://${gateway}${script}`)).ok,
  );
  for (const container of [...started].reverse()) {
    podman('stop', '--time', '30', container);
    check(
      container,
      'drains and ends with 0',
      podman('inspect', '--format', '{{.State.ExitCode}}', container) === '0',
    );
  }
} finally {
  for (const container of started) spawnSync('podman', ['rm', '--force', container]);
}
records.unshift(...figures.values());
for (const record of figures.values()) process.stdout.write(`${JSON.stringify(record)}\n`);
const json = process.argv.indexOf('--json');
if (json > 0)
  writeFileSync(process.argv[json + 1], records.map((record) => `${JSON.stringify(record)}\n`).join(''));
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;

function run(name) {
  return [
    'run',
    '--read-only',
    '--tmpfs',
    '/tmp:rw,size=256m',
    '--tmpfs',
    '/var/cache/dmoerm:rw,size=256m,mode=1777',
    '--network',
    'host',
    '--cap-drop',
    'all',
    '--security-opt',
    'no-new-privileges',
    ...(name === 'cli' ? [] : ['--detach', '--name', `dmoerm-test-${name}`]),
  ];
}

async function start(name, ...flags) {
  const container = `dmoerm-test-${name}`;
  spawnSync('podman', ['rm', '--force', container]);
  const begin = performance.now();
  podman(...run(name), image(name), '--listen', '127.0.0.1:0', ...flags);
  started.push(container);
  const { address } = await logLine(container, ({ msg }) => msg === 'ready');
  figures.get(name).ready_seconds = Number(((performance.now() - begin) / 1e3).toFixed(1));
  return address;
}

/** The records of the examples, as the command line writes them; lines that are no items have none. */
async function scoredOverHttp(address) {
  const lines = readFileSync(`${ROOT}/examples/conversations.jsonl`, 'utf8').trim().split('\n');
  const response = await fetch(`http://${address}/v1/score`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ items: lines.map((line) => JSON.parse(line)) }),
  });
  const { results } = await response.json();
  return results.map((result) => JSON.stringify(result)).join('\n');
}

function rewards(text) {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => JSON.parse(line).candidates?.map(({ reward }) => reward) ?? []);
}

function check(what, says, holds) {
  records.push({ what, says, holds });
  holds ? passed++ : failed++;
  process.stdout.write(`${holds ? 'ok     ' : 'FAILED '} ${what} ${says}\n`);
}

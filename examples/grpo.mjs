// A real RL run against a mesh that loses a replica: starts an aggregator, two experts and a router, runs examples/trl_grpo.py on two ranks,
// and kills one expert with SIGKILL at half of the steps. Prints what became of it; status 1 if a step failed or the reward did not rise.
// With --control both experts are killed: status 1 unless the run then stops, having learnt from no reward that was not the mesh's.
//
//   npm run build && python3 -m venv .venvs/grpo && .venvs/grpo/bin/pip install -r examples/grpo-requirements.txt ./clients/python
//   node examples/grpo.mjs --python .venvs/grpo/bin/python --record grpo.jsonl [--steps 100] [--control]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const RANKS = 2;
const EDGE = 10; // the reward has risen if the mean of so many last steps is above that of as many first ones

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    record: { type: 'string', default: 'grpo.jsonl' },
    steps: { type: 'string', default: '100' },
    control: { type: 'boolean', default: false },
  },
});
const log = resolve(values.record);
const steps = Number(values.steps);
const folder = mkdtempSync(join(tmpdir(), 'dmoerm-grpo-'));
const children = [];

try {
  process.exitCode = (await main()) ? 0 : 1;
} finally {
  for (const child of children) child.kill('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
}

async function main() {
  const aggregator = await service('aggregator');
  const experts = [await service('expert', '--threads', '1'), await service('expert', '--threads', '1')];
  const replicas = `ipv4:${experts.map((one) => one.address).join(',')}`;
  const router = await service('router', '--expert', replicas, '--aggregator', aggregator.address);

  const machine = { processor: cpus()[0].model, cores: cpus().length, ranks: RANKS, threads_per_rank: 1 };
  writeFileSync(log, `${JSON.stringify({ command: `node examples/grpo.mjs --steps ${steps}`, machine })}\n`);
  const training = spawn(
    values.python,
    [
      ...['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', String(RANKS)],
      ...[join(ROOT, 'examples', 'trl_grpo.py'), '--target', router.address],
      ...['--record', log, '--steps', String(steps)],
    ],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1' },
    },
  );
  children.push(training);
  const ended = once(training, 'exit');
  const half = Math.floor(steps / 2);
  if (!(await Promise.race([reaches(half), ended.then(() => false)]))) return report(1);

  const victims = values.control ? experts : experts.slice(1);
  const before = await Promise.all(experts.map(evaluated));
  for (const { child } of victims) child.kill('SIGKILL');
  record({
    killed: `${victims.length} of 2 experts, SIGKILL`,
    after_step: rows().length,
    calls_by_replica: before,
  });
  const [status] = await ended;
  record({
    ...(!values.control && { calls_of_survivor: await evaluated(experts[0]) }),
    attempts_on_the_dead: await metric(router, 'dmoerm_attempts_total', 'outcome="unavailable"'),
    rewards: await metric(router, 'dmoerm_candidates_total'),
    errors: await metric(router, 'dmoerm_candidate_errors_total'),
  });
  return report(status);
}

/** Starts a service; resolves when it answers health checks. */
async function service(name, ...flags) {
  const readyFile = join(folder, `${name}-${children.length}.json`);
  const script = join(ROOT, 'services', name, 'dist', 'main.js');
  const watcher = watch(folder);
  const args = [script, '--listen', '127.0.0.1:0', '--ready-file', readyFile, ...flags];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  children.push(child);
  while (!existsSync(readyFile) || readFileSync(readyFile, 'utf8') === '') await once(watcher, 'change');
  watcher.close();
  return { child, ...JSON.parse(readFileSync(readyFile, 'utf8')) };
}

/** Calls that an expert has answered, from its metrics. */
function evaluated(expert) {
  return metric(expert, 'dmoerm_request_duration_seconds_count', 'Evaluate');
}

/** Sum of a metric's values over the label sets that contain the text. */
async function metric({ metrics }, name, label = '') {
  const page = await (await fetch(`http://${metrics}/metrics`)).text();
  const values = [...page.matchAll(/^(\w+)\{([^}]*)\} (\d+)/gm)].filter(
    ([, found, labels]) => found === name && labels.includes(label),
  );
  return values.reduce((sum, [, , , value]) => sum + Number(value), 0);
}

async function reaches(step) {
  const watcher = watch(log);
  while (rows().length < step) await once(watcher, 'change');
  watcher.close();
  return true;
}

function record(event) {
  appendFileSync(log, `${JSON.stringify(event)}\n`);
}

function rows() {
  const lines = readFileSync(log, 'utf8').split('\n');
  return lines.filter((line) => line.startsWith('{"step"')).map((line) => JSON.parse(line));
}

function report(status) {
  const rewards = rows().map((row) => row.reward);
  const mean = (list) => list.reduce((sum, one) => sum + one, 0) / list.length;
  const first = mean(rewards.slice(0, EDGE));
  const last = mean(rewards.slice(-EDGE));
  const result = { status, steps: rewards.length, finite: rewards.every(Number.isFinite), first, last };
  record({ result: { ...result, edge: EDGE } });
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (!result.finite) return false;
  return values.control
    ? status !== 0 && rewards.length < steps
    : status === 0 && rewards.length === steps && last > first;
}

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHART, keptManifests } from './chart';
import { ofKind, podOf } from './objects';

const UNITS = ['chat/task', 'qa/task', 'chat/logic', 'qa/depth'];
const folder = mkdtempSync(join(tmpdir(), 'dmoerm-training-'));
const runs = join(folder, 'runs');
const bin = join(folder, 'bin');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A trainer that writes down what it was asked and what it found, and the result of its unit; the scripts are what is tested. */
const TRAINER = `#!/bin/sh
echo "$@" > "$RUNS/asked-\${JOB_COMPLETION_INDEX:-bundle}"
run=$4
[ -d "$run" ] && (cd "$run" && find . -name result.json | sort) > "$RUNS/found-\${JOB_COMPLETION_INDEX:-bundle}"
[ -z "\${JOB_COMPLETION_INDEX:-}" ] && exit
set -- $UNITS
shift "$JOB_COMPLETION_INDEX"
mkdir -p "$run/units/$1" && touch "$run/units/$1/result.json"
`;

beforeAll(() => {
  mkdirSync(bin);
  writeFileSync(join(bin, 'dmoerm'), TRAINER, { mode: 0o755 });
  // What is waited for is there sooner than in ten seconds.
  writeFileSync(join(bin, 'sleep'), '#!/bin/sh\nexec /bin/sleep 0.05\n', { mode: 0o755 });
});
beforeEach(() => {
  rmSync(runs, { recursive: true, force: true });
  mkdirSync(runs);
});

function environment(index: number | null) {
  return {
    ...{ PATH: `${bin}:/usr/bin:/bin`, RUNS: runs, UNITS: UNITS.join(' '), RECIPE: '/recipe.yaml' },
    ...{ OUTPUT: '/runs/bundle', THREADS: '4', METRICS: '0.0.0.0:9464' },
    ...(index === null ? {} : { JOB_COMPLETION_INDEX: `${index}` }),
  };
}
const script = (name: string): string => join(CHART, 'files', name);
const said = (name: string): string => readFileSync(join(runs, name), 'utf8').trim();

describe('a pod of the training Job', () => {
  it('trains the unit of its index in a folder of its own', () => {
    expect(spawnSync('sh', [script('unit.sh')], { env: environment(1) }).status).toBe(0);
    expect(said('asked-1')).toBe(
      `train /recipe.yaml --run ${runs}/unit-1 --index 1 --threads 4 --metrics-listen 0.0.0.0:9464`,
    );
    expect(existsSync(join(runs, 'unit-1/units/qa/task/result.json'))).toBe(true);
  });

  it('waits for the adapter of its task and takes it along', async () => {
    const expert = spawn('sh', [script('unit.sh')], { env: environment(3) });
    const ended = once(expert, 'exit');
    expect(existsSync(join(runs, 'asked-3'))).toBe(false);
    expect(spawnSync('sh', [script('unit.sh')], { env: environment(1) }).status).toBe(0);
    expect(await ended).toEqual([0, null]);
    expect(said('found-3')).toBe('./units/qa/task/result.json');
  });

  it('fails when its training fails', () => {
    const broken = join(folder, 'broken');
    cpSync(bin, broken, { recursive: true });
    writeFileSync(join(broken, 'dmoerm'), '#!/bin/sh\nexit 2\n', { mode: 0o755 });
    const env = { ...environment(0), PATH: `${broken}:/usr/bin:/bin` };
    expect(spawnSync('sh', [script('unit.sh')], { env }).status).toBe(2);
  });
});

it('the pod that makes the bundle waits for all units and gathers them', async () => {
  const bundle = spawn('sh', [script('bundle.sh')], { env: environment(null) });
  const ended = once(bundle, 'exit');
  for (const index of UNITS.keys()) {
    expect(existsSync(join(runs, 'asked-bundle'))).toBe(false);
    expect(spawnSync('sh', [script('unit.sh')], { env: environment(index) }).status).toBe(0);
  }
  expect(await ended).toEqual([0, null]);
  expect(said('asked-bundle')).toBe(
    `train /recipe.yaml --run ${runs}/all --output /runs/bundle --threads 4 --metrics-listen 0.0.0.0:9464`,
  );
  expect(said('found-bundle').split('\n')).toEqual(
    [...UNITS].sort().map((unit) => `./units/${unit}/result.json`),
  );
});

it('the Jobs have as many indexes as units, and go on after a failure of one', () => {
  const [units, bundle] = ofKind(keptManifests('training'), 'Job');
  expect(units?.spec).toMatchObject({ completionMode: 'Indexed', completions: 3, backoffLimitPerIndex: 3 });
  expect(bundle?.spec?.['completionMode']).toBeUndefined();
  const commands = [units, bundle].map((job) => podOf(job!).spec.containers[0]?.command?.at(-1));
  expect(commands).toEqual(['/etc/dmoerm/training/unit.sh', '/etc/dmoerm/training/bundle.sh']);
});

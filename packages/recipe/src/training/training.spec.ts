import { spawn } from 'node:child_process';
import { existsSync, readFileSync, watch } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashFile, openBundle } from '@dmoerm/bundle';
import { routeText } from '../router';
import { finishRun } from './finish';
import { fitRouter } from './fit-router';
import { readRecipe, unitName } from './recipe';
import { encodeOverall } from './encode-task';
import { openRun, readoutTokens, unitFolder, type Run, type RunOptions } from './run';
import type { TaskPairs } from './select';
import { specPairs, writeSpecRecipe } from './spec-data';
import { trainUnits } from './train-units';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmoerm-train-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function open(recipeFile: string, name: string, options: Partial<RunOptions> = {}): Promise<Run> {
  const recipe = readRecipe(recipeFile);
  return openRun({
    recipe,
    folder: join(folder, name),
    cacheDir: folder,
    version: 'spec',
    threads: 1,
    ...options,
  });
}

/** Digests of all that the units learned, by unit. */
async function learned(run: Run): Promise<Record<string, string>> {
  const entries = run.units.map(async (unit) => {
    const own = unitFolder(run, unit);
    const files = ['adapter/adapter_model.safetensors', 'adapter/adapter_config.json', 'head.safetensors'];
    const digests = await Promise.all(files.map((file) => hashFile(join(own, file))));
    return [unitName(unit), digests.map(({ sha256 }) => sha256).join(' ')] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

describe.each([
  { plan: { type: 'full' } },
  { plan: { type: 'top_layers', layers: 2 } },
  { plan: { type: 'readout' }, phase1: { method: 'task_lora', learning_rate: 1e-3, epochs: 1 } },
])('a run in the plan $plan.type', (changes) => {
  it('learns, and makes a bundle that serves what it learned', async () => {
    const run = await open(await writeSpecRecipe(folder, specPairs(60), changes), 'run');
    const results = await trainUnits(run);
    for (const { best } of results) expect(best.accuracy).toBeGreaterThan(0.9);
    const { bundle, evaluations } = await finishRun(run, { output: join(folder, 'b') });
    expect(evaluations[0]?.model.value).toBeGreaterThan(0.9);
    const opened = await openBundle(bundle.directory, { cacheDir: folder });
    expect(opened.task('chat').capabilities.map(({ name }) => name)).toEqual(['polite', 'short']);
    expect(existsSync(join(bundle.directory, 'NOTICE.md'))).toBe(true);
  });

  it('ends with the same bits unit by unit, and after a crash', async () => {
    const file = await writeSpecRecipe(folder, specPairs(30), changes);
    const whole = await open(file, 'whole');
    await trainUnits(whole);
    const expected = await learned(whole);

    const single = await open(file, 'single');
    for (const index of single.units.keys()) await trainUnits(single, index);
    expect(await learned(single)).toEqual(expected);

    let updates = 0;
    const crash = (): void => {
      if (++updates % 9 === 0) throw new Error('crash');
    };
    for (;;) {
      const run = await open(file, 'crashing', { checkpointSeconds: 0, onProgress: crash });
      try {
        await trainUnits(run);
        expect(await learned(run)).toEqual(expected);
        break;
      } catch (error) {
        if ((error as Error).message !== 'crash') throw error;
      }
    }
    expect(updates).toBeGreaterThan(9);
    const metrics = (name: string, label: string): string[] =>
      readFileSync(join(folder, name, 'training', label, 'metrics.jsonl'), 'utf8')
        .replaceAll(/"rows_per_second":\d+/g, '')
        .split('\n');
    const [label = ''] = await trainingLabels('whole');
    expect(metrics('crashing', label)).toEqual(metrics('whole', label));
  });
});

async function trainingLabels(name: string): Promise<string[]> {
  const { readdir } = await import('node:fs/promises');
  return readdir(join(folder, name, 'training'));
}

it('kill -9 in the middle of training costs time, not bits', async () => {
  const file = await writeSpecRecipe(folder, specPairs(40));
  const whole = await open(file, 'whole');
  await trainUnits(whole);
  const code = `
    const { openRun, trainUnits, readRecipe } = require(${JSON.stringify(join(__dirname, '..', '..', 'dist'))});
    const recipe = readRecipe(${JSON.stringify(file)});
    openRun({ recipe, folder: ${JSON.stringify(join(folder, 'killed'))}, cacheDir: '.', version: 'spec', threads: 1,
      checkpointSeconds: 0 }).then((run) => trainUnits(run));`;
  const child = spawn(process.execPath, ['-e', code], { stdio: 'ignore' });
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    child.on('exit', (_, signal) => resolve(signal)),
  );
  const [label = ''] = await trainingLabels('whole');
  const metrics = join(folder, 'killed', 'training', label, 'metrics.jsonl');
  const enough = (): boolean => existsSync(metrics) && readFileSync(metrics, 'utf8').split('\n').length > 6;
  const watcher = watch(folder, { recursive: true }, () => {
    if (enough()) child.kill('SIGKILL');
  });
  expect(await ended).toBe('SIGKILL');
  watcher.close();
  const resumed = await open(file, 'killed');
  await trainUnits(resumed);
  expect(await learned(resumed)).toEqual(await learned(whole));
}, 30_000);

it('the order of tasks and capabilities in the recipe changes nothing that is learned', async () => {
  const pairs = [
    ...specPairs(30),
    ...specPairs(30, 'help').map((row) => ({
      ...row,
      messages: [{ role: 'user' as const, content: `help ${row.prompt_id}` }],
    })),
  ];
  const task = (name: string, ...capabilities: string[]) => ({
    name,
    capabilities: capabilities.map((one) => ({ name: one })),
  });
  const first = await open(
    await writeSpecRecipe(folder, pairs, {
      tasks: [task('chat', 'polite', 'short'), task('help', 'polite')],
    }),
    'a',
  );
  await trainUnits(first);
  const second = await open(
    await writeSpecRecipe(folder, [...pairs].reverse(), {
      tasks: [task('help', 'polite'), task('chat', 'short', 'polite')],
    }),
    'b',
  );
  await trainUnits(second);
  expect(await learned(second)).toEqual(await learned(first));
});

it('reversed labels teach the opposite; other seeds end elsewhere', async () => {
  const reversed = specPairs(60).map((row) =>
    row.split === 'train' ? { ...row, chosen: row.rejected, rejected: row.chosen } : row,
  );
  const options = { phase2: { learning_rate: 3e-3, epochs: 1, prompts_per_step: 4 } };
  const against = await trainUnits(await open(await writeSpecRecipe(folder, reversed, options), 'reversed'));
  expect(against[0]?.best.accuracy).toBeLessThan(0.1);
  const states = [];
  for (const seed of [1, 2]) {
    const run = await open(await writeSpecRecipe(folder, specPairs(30), { ...options, seed }), `seed${seed}`);
    await trainUnits(run, 0);
    states.push(
      await readFile(
        join(unitFolder(run, run.units[0] as (typeof run.units)[number]), 'head.safetensors'),
        'base64',
      ),
    );
  }
  expect(states[0]).not.toBe(states[1]);
});

it('routes teach the router; those whose licence does not permit shipping do not', async () => {
  const tasks = ['chat', 'help'].map((name) => ({ name, capabilities: [{ name: 'polite' }] }));
  const pairs = [
    ...specPairs(30),
    ...specPairs(30, 'help').map((row) => ({
      ...row,
      messages: [{ role: 'user' as const, content: `help ${row.prompt_id}` }],
    })),
  ];
  const routes = Array.from({ length: 40 }, (_, i) => ({
    messages: [{ role: 'user', content: `zebra number ${i}` }],
    ...{ label: 'help', source: 'made-up', split: 'train' },
    licence: i < 20 ? 'CC0' : 'none-stated',
  }));
  await writeFile(join(folder, 'routes.jsonl'), routes.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const run = async (name: string, data: object): Promise<Run> =>
    open(await writeSpecRecipe(folder, pairs, { tasks, data: { pairs: ['pairs.jsonl'], ...data } }), name);
  const help = (run: Run): number => {
    const { router } = fitRouter(run);
    return routeText(router, 'zebra number 99')[router.labels.indexOf('help')] ?? NaN;
  };
  const without = await run('without', {});
  const permitted = await run('permitted', { routes: ['routes.jsonl'] });
  const all = await run('all', { routes: ['routes.jsonl'], licences: 'all' });
  expect([without, permitted, all].map((one) => one.routes.length)).toEqual([0, 20, 40]);
  expect(help(permitted)).toBeGreaterThan(help(without) + 0.1);
});

it('a conversation as long as the base leaves room for what a readout appends', async () => {
  const changes = {
    ...{ plan: { type: 'readout' }, max_tokens: 1e6, phase2: { learning_rate: 1e-3, epochs: 0 } },
    tasks: [{ name: 'chat', capabilities: [{ name: 'polite' }] }],
  };
  // Turns of a word each: what is dropped leaves conversations that fill the base to the last tokens.
  const history = Array.from({ length: 600 }, (_, i) => ({
    role: i % 2 === 0 ? ('user' as const) : ('assistant' as const),
    content: 'why',
  }));
  const pairs = specPairs(10).map((row) => ({ ...row, messages: [...history, ...row.messages] }));
  const run = await open(await writeSpecRecipe(folder, pairs, changes), 'run');
  const { groups } = encodeOverall(run, run.selection.tasks[0] as TaskPairs);
  const lengths = groups.flatMap(({ prompts, candidates }) =>
    candidates.map(({ prompt, tokens }) => (prompts[prompt]?.length ?? 0) + tokens.length),
  );
  const unit = run.units[0] as (typeof run.units)[number];
  const limit = run.base.config.maxPositions - readoutTokens(run, unit).length;
  expect(Math.max(...lengths)).toBeLessThanOrEqual(limit);
  expect(Math.max(...lengths)).toBeGreaterThan(limit - 16);
  await expect(trainUnits(run)).resolves.toHaveLength(1);
});

it('no epochs: the head that training would begin with, and an adapter that changes nothing', async () => {
  const changes = { phase2: { learning_rate: 1e-3, epochs: 0 } };
  const run = await open(await writeSpecRecipe(folder, specPairs(60), changes), 'run');
  for (const { steps, best, probe } of await trainUnits(run)) {
    expect([steps, best.step]).toEqual([0, 0]);
    expect(best.accuracy).toBeCloseTo(probe, 6);
  }
});

it('shared: experts and aggregator learn from the same prompts', async () => {
  const prompts = async (shares: string): Promise<[number, number]> => {
    const file = await writeSpecRecipe(folder, specPairs(60), { data: { pairs: ['pairs.jsonl'], shares } });
    const [task] = (await open(file, shares)).selection.tasks;
    const trains = (rows: readonly { split: string }[] = []): number =>
      rows.filter(({ split }) => split === 'train').length;
    return [trains(task?.experts.get('polite')), trains(task?.overall)];
  };
  const [experts, aggregator] = await prompts('strict');
  expect(experts + aggregator).toBe(36);
  expect(await prompts('shared')).toEqual([36, 36]);
});

it('pairs that are all too long are refused before training', async () => {
  const run = await open(await writeSpecRecipe(folder, specPairs(30), { max_tokens: 8 }), 'run');
  await expect(trainUnits(run)).rejects.toMatchObject({ reason: 'NO_PAIRS', field: 'max_tokens' });
});

it('a folder of another run is refused, and units that are missing are named', async () => {
  const run = await open(await writeSpecRecipe(folder, specPairs(30)), 'run');
  await trainUnits(run, 0);
  await expect(finishRun(run, { output: join(folder, 'b') })).rejects.toMatchObject({
    reason: 'UNITS_MISSING',
    message: expect.stringContaining('units 1 of 2'),
  });
  const other = await writeSpecRecipe(folder, specPairs(30), { seed: 5 });
  await expect(open(other, 'run')).rejects.toMatchObject({ reason: 'ANOTHER_RUN' });
  await expect(trainUnits(run, 7)).rejects.toMatchObject({ reason: 'NO_SUCH_UNIT' });
});

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { openRun, readPairs, trainUnits, type Run } from '@dmoerm/recipe';
import { CACHE_DIR } from '../cached-bundle';
import { describeMachine } from '../machine';
import { progress } from '../progress';
import { isSingle, passes, SIZE, studyRecipe, type StudyRun } from './design';
import { judgeSingle, judgeTask, routesOf, type Judged, type Rewards, type Routes } from './judge';
import { testPairs, type StudyTest, type TestRow } from './test-pairs';

/** What a run leaves: everything that the report needs of it. */
export interface RunResult extends StudyRun {
  readonly machine: string;
  /** Training of experts; states below the first adapted layer are computed once for all runs and are not in it. */
  readonly training_seconds: number;
  readonly passes_per_candidate: number;
  readonly units: readonly {
    readonly unit: string;
    readonly probe: number;
    readonly accuracy: number;
    readonly step: number;
    readonly steps: number;
    readonly training_pairs: number;
  }[];
  readonly rewards: Readonly<Record<string, Rewards>>;
}

/** What the test is made of. */
export interface TestRecord {
  readonly size: typeof SIZE;
  readonly data: Readonly<Record<string, string>>;
  readonly too_long: number;
  readonly pairs: readonly TestRow[];
}

/**
 * Trains and judges a run that `output` lacks, task by task; what is done of it is kept there, and what a task needs on the way lies in
 * `work`: it goes on from either.
 */
export async function studyOne(
  one: StudyRun,
  { data, output, work, threads }: { data: string; output: string; work: string; threads: number },
): Promise<void> {
  const file = resultFile(output, one);
  if (existsSync(file)) return;
  const recipe = studyRecipe(one, resolve(data), join(work, 'recipes'));
  const begin = performance.now();
  progress(`${one.name}, seed ${one.seed}`);
  const run = await openRun({
    recipe,
    folder: join(work, `${one.name}-${one.seed}`),
    trunks: join(work, 'trunks'),
    cacheDir: CACHE_DIR,
    version: 'study',
    threads,
    onStage: progress,
  });
  const { pairs, digests } = await readPairs(recipe.data.pairs);
  const test = testPairs(run, pairs);
  mkdirSync(partsFolder(output), { recursive: true });
  const data_digests = Object.entries(digests).map(([path, digest]) => [basename(path), digest]);
  const record: TestRecord = {
    size: SIZE,
    data: Object.fromEntries(data_digests) as Record<string, string>,
    too_long: test.tooLong,
    pairs: test.rows,
  };
  writeFileSync(join(output, 'test.json'), `${JSON.stringify(record)}\n`);
  const routes = isSingle(one.name) ? null : routesOf(run, test);
  const parts: Part[] = [];
  const files = run.selection.tasks.map(({ task }) =>
    join(partsFolder(output), `${one.name}-${one.seed}-${task.name}.json`),
  );
  for (const [t, { task }] of run.selection.tasks.entries()) {
    const partFile = files[t] ?? '';
    if (!existsSync(partFile)) {
      const part = await partOf(one, run, task.name, test, routes);
      writeFileSync(partFile, `${JSON.stringify(part, rounded)}\n`);
    }
    parts.push(JSON.parse(readFileSync(partFile, 'utf8')) as Part);
  }
  const experts = parts.reduce((sum, part) => sum + part.experts, 0);
  const result: RunResult = {
    ...one,
    machine: [...new Set(parts.map(({ machine }) => machine))].join(', '),
    training_seconds: parts.reduce((sum, part) => sum + part.training_seconds, 0),
    passes_per_candidate: Number(passes(one.name, experts).toFixed(2)),
    units: parts.flatMap(({ units }) => units),
    rewards: joined(parts, test.pairs.length),
  };
  writeFileSync(file, `${JSON.stringify(result, rounded)}\n`);
  for (const part of files) rmSync(part);
  progress(`${one.name}, seed ${one.seed}: ${((performance.now() - begin) / 60e3).toFixed(0)} minutes`);
}

/** What a run leaves of one task, so that a dear run may be made task by task on many days. */
interface Part extends Judged, Pick<RunResult, 'machine' | 'training_seconds' | 'units'> {}

/** Trains the experts of a task and has them judge the test. */
async function partOf(
  { name }: StudyRun,
  run: Run,
  task: string,
  test: StudyTest,
  routes: Routes | null,
): Promise<Part> {
  const units = await trainUnits(run, task);
  const judged = await (routes === null
    ? judgeSingle(run, test)
    : judgeTask(run, test, task, routes, name === 'top_layers'));
  return {
    machine: describeMachine().processor,
    training_seconds: units.reduce((sum, { seconds }) => sum + seconds, 0),
    units: units.map(({ unit, probe, best, steps, training_pairs }) => ({
      unit,
      probe,
      accuracy: best.accuracy,
      step: best.step,
      steps,
      training_pairs,
    })),
    ...judged,
  };
}

/** Where parts of runs that are not whole are kept. */
function partsFolder(output: string): string {
  return join(output, 'runs', 'parts');
}

/** Rewards by test pair, from what each task's experts say of some of them. */
function joined(parts: readonly Part[], count: number): RunResult['rewards'] {
  const all: Record<string, Rewards> = {};
  for (const { variants } of parts)
    for (const [name, judgements] of Object.entries(variants))
      for (const [i, chosen, rejected] of judgements) {
        const empty = (): number[] => Array.from({ length: count }, () => NaN);
        const own = (all[name] ??= { chosen: empty(), rejected: empty() });
        own.chosen[i] = chosen;
        own.rejected[i] = rejected;
      }
  return all;
}

function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}

function resultFile(output: string, { name, seed }: StudyRun): string {
  return join(output, 'runs', `${name}-${seed}.json`);
}

/** All runs that are done. */
export function readResults(output: string): { test: TestRecord; runs: RunResult[] } {
  const folder = join(output, 'runs');
  const runs = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as RunResult);
  const test = JSON.parse(readFileSync(join(output, 'test.json'), 'utf8')) as TestRecord;
  return { test, runs };
}

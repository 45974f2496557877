import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { openRun, readPairs, trainUnits } from '@dmoerm/recipe';
import { CACHE_DIR } from '../cached-bundle';
import { describeMachine } from '../machine';
import { progress } from '../progress';
import { isSingle, passes, SIZE, studyRecipe, type StudyRun } from './design';
import { judgeMixture, judgeSingle, type Rewards } from './judge';
import { testPairs, type TestRow } from './test-pairs';

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

/** Trains and judges a run that `output` lacks; what it needs on the way lies in `work` and makes it resumable. */
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
  const units = await trainUnits(run);
  const { pairs, digests } = await readPairs(recipe.data.pairs);
  const test = testPairs(run, pairs);
  mkdirSync(join(output, 'runs'), { recursive: true });
  const data_digests = Object.entries(digests).map(([path, digest]) => [basename(path), digest]);
  const record: TestRecord = {
    size: SIZE,
    data: Object.fromEntries(data_digests) as Record<string, string>,
    too_long: test.tooLong,
    pairs: test.rows,
  };
  writeFileSync(join(output, 'test.json'), `${JSON.stringify(record)}\n`);
  const { variants, experts } = await (isSingle(one.name)
    ? judgeSingle(run, test)
    : judgeMixture(run, test, one.name === 'top_layers'));
  const result: RunResult = {
    ...one,
    machine: describeMachine().processor,
    training_seconds: units.reduce((sum, { seconds }) => sum + seconds, 0),
    passes_per_candidate: Number(passes(one.name, experts).toFixed(2)),
    units: units.map(({ unit, probe, best, steps, training_pairs }) => ({
      unit,
      probe,
      accuracy: best.accuracy,
      step: best.step,
      steps,
      training_pairs,
    })),
    rewards: variants,
  };
  const rounded = JSON.stringify(result, (_, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value,
  );
  writeFileSync(file, `${rounded}\n`);
  progress(`${one.name}, seed ${one.seed}: ${((performance.now() - begin) / 60e3).toFixed(0)} minutes`);
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

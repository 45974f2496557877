import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Bundle } from '@dmoerm/bundle';
import { createSpecBundle, SPEC_TASKS } from '@dmoerm/testing';
import { formatPairReport } from '../report/pair-table';
import { openScorer } from '../scoring/scorer';
import { evaluateSuite } from '../suites/evaluate-suite';
import { readSuite } from '../suites/read-suite';
import { evaluatePairs, type PairOptions, type PairReport } from './evaluate-pairs';
import { readPairData } from './pair-data';

jest.setTimeout(60_000);

const WORDS = 'rivers bend because water cuts the outer bank and leaves sand on the inner one'.split(' ');
const text = (n: number, length: number): string =>
  Array.from({ length }, (_, i) => WORDS[(n * 7 + i * (1 + (n % 5))) % WORDS.length]).join(' ');

/** Pairs of every task of the spec bundle and of one that it does not have; three pairs a prompt. */
function rows(): Record<string, unknown>[] {
  const tasks: { name: string; word: string }[] = [...SPEC_TASKS, { name: 'code', word: 'hello' }];
  return tasks.flatMap(({ name, word }, t) =>
    Array.from({ length: 18 }, (_, i) => {
      const n = t * 100 + i;
      return {
        ...{ source: i % 2 ? 's' : 't', licence: 'MIT', task: name, prompt_id: `${t}-${Math.floor(i / 3)}` },
        messages: [{ role: 'user', content: `${word} ${text(Math.floor(n / 3), 8)}` }],
        ...{ chosen: text(n, 4 + (n % 9)), rejected: `${text(n + 1, 5 + (n % 4))} so` },
        ...{ tie: i === 0, split: 'test', first_turn_in_train: i === 17 },
      };
    }),
  );
}

const reversed = (own: Record<string, unknown>[]): Record<string, unknown>[] =>
  own.map((row) => ({ ...row, chosen: row['rejected'], rejected: row['chosen'] }));

describe('evaluatePairs', () => {
  let folder: string;
  let bundles: Bundle[];
  let file: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmoerm-evaluate-'));
    bundles = [];
    for (const seed of [1, 2])
      bundles.push(await createSpecBundle(join(folder, `bundle-${seed}`), folder, seed));
    file = await write('pairs.jsonl.gz', rows());
  });
  afterAll(() => rm(folder, { recursive: true }));

  const write = async (name: string, own: readonly object[]): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, gzipSync(own.map((row) => JSON.stringify(row)).join('\n')));
    return path;
  };
  const options = (cache: string, over: Partial<PairOptions> = {}): PairOptions => ({
    ...{ split: 'test', limit: null, validLimit: 0, seed: 1, lambda: 0.5, truncation: 'reject', draws: 100 },
    cache: join(folder, cache),
    engine: { threads: 1, weightType: 'f32' },
    ...over,
  });
  const evaluate = async (path: string, own: PairOptions, seeds = 1): Promise<PairReport> =>
    evaluatePairs([{ name: 'spec', bundles: bundles.slice(0, seeds) }], await readPairData([path]), own);
  const armOf = ({ arms }: PairReport, name: string) => arms.find(({ arm }) => arm === name);

  it('reports every arm; ties, unknown tasks and first turns in training are counted apart', async () => {
    const report = await evaluate(file, options('a'));
    expect(report.coverage).toEqual({ pairs: 64, first_turn_in_train: 4, capability_pairs: 0, ties: 4 });
    expect(report.arms.map(({ arm }) => arm)).toEqual([
      'spec',
      'spec/oracle',
      'spec/random_routing',
      'spec/mean_of_scores',
      'spec/worst_case',
      'spec/uncertainty_weighted',
      'longer_wins',
    ]);
    expect(armOf(report, 'spec')).toMatchObject({ pairs: 64, failures: {}, seeds: 1 });
    expect(Object.keys(armOf(report, 'spec')?.per_task ?? {})).toEqual(['chat', 'qa', 'poem', 'code']);
    expect(armOf(report, 'spec/oracle')?.failures).toEqual({ TASK_NOT_IN_BUNDLE: 16 });
    // Where the router names the data's task, both are the same rewards.
    for (const task of ['chat', 'qa', 'poem'])
      expect(armOf(report, 'spec/oracle')?.per_task[task]).toEqual(armOf(report, 'spec')?.per_task[task]);
    // Tasks without a learned aggregator answer with the mean of the scores.
    expect(armOf(report, 'spec')?.degraded).toBe(16);
    expect(armOf(report, 'spec/mean_of_scores')?.per_task['poem']).toEqual(
      armOf(report, 'spec')?.per_task['poem'],
    );
    expect(report.router[0]).toMatchObject({ prompts: 23, known: 17, accuracy: 1 });
    expect(formatPairReport(report)).toContain('spec/worst_case');
  });

  it('gives the same JSON to the digit twice, from the cache and without it, and after a run that was cut off', async () => {
    const first = JSON.stringify(await evaluate(file, options('a')));
    expect(JSON.stringify(await evaluate(file, options('b')))).toBe(first);
    const cut = evaluate(
      file,
      options('c', {
        onProgress: () => {
          throw new Error('killed');
        },
      }),
    );
    await expect(cut).rejects.toThrow('killed');
    const [name = ''] = await readdir(join(folder, 'c'));
    const cache = join(folder, 'c', name, 'scores.jsonl');
    const kept = (await readFile(cache, 'utf8')).split('\n').length;
    expect(kept).toBeGreaterThan(10);
    await appendFile(cache, '{"key":"cut off in the mid');
    expect(JSON.stringify(await evaluate(file, options('c')))).toBe(first);
    const texts = await readFile(cache, 'utf8');
    expect(texts).not.toContain('rivers');
    expect(first).not.toContain('rivers');
  });

  it('reversed labels give 1 - accuracy for every arm', async () => {
    const [report, mirrored] = [
      await evaluate(file, options('a')),
      await evaluate(await write('reversed.jsonl.gz', reversed(rows())), options('a')),
    ];
    for (const { arm, accuracy, per_task: tasks } of report.arms) {
      expect(armOf(mirrored, arm)?.accuracy).toBeCloseTo(1 - (accuracy ?? NaN), 12);
      for (const [task, { value }] of Object.entries(tasks))
        expect(armOf(mirrored, arm)?.per_task[task]?.value).toBeCloseTo(1 - (value ?? NaN), 12);
    }
  });

  it('several bundles make one arm of several seeds: the mean of their accuracies', async () => {
    const both = await evaluate(file, options('a'), 2);
    const arms = bundles.map((bundle, i) => ({ name: `${i}`, bundles: [bundle] }));
    const alone = await evaluatePairs(arms, await readPairData([file]), options('a'));
    const mean = ((armOf(alone, '0')?.accuracy ?? NaN) + (armOf(alone, '1')?.accuracy ?? NaN)) / 2;
    expect(armOf(both, 'spec')).toMatchObject({
      seeds: 2,
      revisions: bundles.map(({ revision }) => revision),
    });
    expect(armOf(both, 'spec')?.accuracy).toBeCloseTo(mean, 12);
    expect(both.differences.at(-1)).toMatchObject({ arm: 'longer_wins', reference: 'spec' });
  });

  it('what has no reward is counted by reason and scored nowhere', async () => {
    const own = rows();
    const long = own.map((row, i) => (i === 1 ? { ...row, chosen: text(3, 900) } : row));
    const report = await evaluate(await write('long.jsonl.gz', long), options('a'));
    expect(armOf(report, 'spec')).toMatchObject({ pairs: 63, failures: { TOO_LONG: 1 } });
    expect(report.differences.at(-1)?.pairs).toBe(63);
  });

  it('judges single capabilities by their own expert, as the data names the task', async () => {
    const own = rows()
      .filter(({ task }) => task === 'qa')
      .map((row, i) => ({ ...row, capability: ['truth', 'overall', 'unheard_of'][i % 3] }));
    const report = await evaluate(await write('capabilities.jsonl.gz', own), options('a'));
    expect(report.capabilities.map(({ capability }) => capability)).toEqual(['overall', 'truth']);
    const scorer = await openScorer(bundles[0] as Bundle, options('a'));
    const row = own[3];
    const outcomes = ['chosen', 'rejected'].map((side) =>
      scorer.outcome('qa', row?.['messages' as never] ?? [], String(row?.[side as never])),
    );
    const [a, b] = outcomes.map((one) => (one.type === 'score' ? one.scores[0] : NaN));
    expect(a).not.toBe(b);
    await scorer[Symbol.asyncDispose]();
  });

  it('fits temperatures on the valid split where a bundle carries none', async () => {
    const valid = rows().map((row, i) => ({
      ...{ ...row, split: 'valid', prompt_id: `v${String(row['prompt_id'])}` },
      messages: [{ role: 'user', content: `hello ${text(500 + Math.floor(i / 3), 9)}` }],
    }));
    const path = await write('valid.jsonl.gz', [...rows(), ...valid]);
    const report = await evaluate(path, options('a', { validLimit: 9 }));
    expect(armOf(report, 'spec')?.calibration).toMatchObject({ temperature_source: 'bundle', pairs: 64 });
    expect(armOf(report, 'spec/worst_case')?.calibration?.temperature_source).toBe('fitted');
    expect(armOf(await evaluate(file, options('a')), 'spec/worst_case')?.calibration).toBeNull();
  });

  it('evaluates a public suite end to end, twice to the digit', async () => {
    const path = join(folder, 'suite.jsonl');
    const own = rows().map((row, i) => ({
      ...{ pair_id: `${i}`, source: 'mmlu-pro-law', question: `query ${text(i, 6)}`, response_model: 'm' },
      ...{ response_A: row['chosen'], response_B: row['rejected'], label: i % 2 ? 'A>B' : 'B>A' },
    }));
    await writeFile(path, own.map((row) => JSON.stringify(row)).join('\n'));
    const run = async () =>
      evaluateSuite(
        [{ name: 'spec', bundles: bundles.slice(0, 1) }],
        await readSuite('judgebench', [path]),
        options('a'),
      );
    const report = await run();
    expect(report.coverage).toMatchObject({ items: 72, judged: 72 });
    expect(report.arms.map(({ arm }) => arm)).toContain('longer_wins');
    expect(JSON.stringify(await run())).toBe(JSON.stringify(report));
  });
});

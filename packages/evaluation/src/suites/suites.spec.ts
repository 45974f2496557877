import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { bestOfK } from './best-of-k';
import { leafBootstrap } from './leaf-bootstrap';
import { readSuite } from './read-suite';
import { bestOfN } from './rewardbench2';
import { styleWins } from './rm-bench';
import { meanLeaf, type Suite } from './suite';

/** Made-up rows in the published columns, written by pyarrow: lists as data sets have them. */
const FIXTURES = join(__dirname, 'fixtures');

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'dmoerm-suites-'))));
afterAll(() => rm(folder, { recursive: true }));

/** Overall figure and parts of a suite's rewards. */
function measure(suite: Suite, rewards: readonly (readonly number[] | null)[]) {
  const { leaves, details } = suite.measure(rewards);
  const parts = leaves.map(({ name, weight, size, statistic }) => ({
    name,
    weight,
    value: statistic(Array.from({ length: size }, (_, i) => i)),
  }));
  return {
    overall: parts.reduce((sum, { weight, value }) => sum + weight * value, 0),
    parts: Object.fromEntries(parts.map(({ name, value }) => [name, value])),
    details,
  };
}

describe('RewardBench 2', () => {
  const row = (id: string, subset: string, correct: number, wrong: number) => ({
    id,
    prompt: `question ${id}`,
    chosen: Array.from({ length: correct }, (_, i) => `right ${i}`),
    rejected: Array.from({ length: wrong }, (_, i) => `wrong ${i}`),
    num_correct: correct,
    subset,
    models: ['m'],
  });
  const rows = [
    row('1', 'Math', 1, 3),
    row('2', 'Focus', 1, 3),
    row('tied:0', 'Ties', 2, 2),
    row('ref:0', 'Ties', 1, 2),
    row('tied:1', 'Ties', 2, 1),
    row('ref:1', 'Ties', 1, 1),
  ];

  it('scores best-of-4 with shared tops, and Ties by accuracy and margins, from parquet as from JSON', async () => {
    await writeFile(join(folder, 'rb2.jsonl'), rows.map((one) => JSON.stringify(one)).join('\n'));
    for (const file of [join(FIXTURES, 'rewardbench2.parquet'), join(folder, 'rb2.jsonl')]) {
      const suite = await readSuite('rewardbench2', [file]);
      expect(suite.items[2]?.responses).toEqual(['right 0', 'right 1', 'wrong 0', 'wrong 1']);
      const { overall, parts } = measure(suite, [
        [1, 1, 0, 0],
        [0, 1, 2, 3],
        [5, 4, 1, 0], // right; gap 3 > spread 1
        [3, 1, 0], // right; gap 2 > spread 1
        [5, 2, 3], // wrong; gap -1
        [1, 2], // wrong
      ]);
      const tanh = (Math.tanh(2 / 1 - 1) + Math.tanh(-1 / 3 - 1)) / 2;
      const ties = 0.3 * 0.5 + 0.3 * 0.5 + 0.2 * 0.5 + 0.2 * 0.5 + 0.01 * tanh;
      expect(parts['Math']).toBe(0.5);
      expect(parts['Focus']).toBe(0);
      expect(parts['Ties']).toBeCloseTo(ties, 12);
      expect(overall).toBeCloseTo((0.5 + 0 + ties) / 3, 12);
    }
  });

  it('an item without rewards is in no figure', async () => {
    const suite = await readSuite('rewardbench2', [join(folder, 'rb2.jsonl')]);
    expect(measure(suite, [[1, 0, 0, 0], null, null, null, null, null])).toMatchObject({
      overall: 1,
      parts: { Math: 1 },
    });
  });

  it('best of n: brute force over the positions of the largest reward', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 2, maxLength: 6 }), (rewards) => {
        const [first = 0, ...others] = rewards;
        const beaten = others.some((other) => other > first);
        const shared = 1 + others.filter((other) => other === first).length;
        expect(bestOfN({ correct: [first], wrong: others })).toBe(beaten ? 0 : 1 / shared);
      }),
    );
  });
});

describe('RM-Bench', () => {
  it('weighs domains alike, both safety domains as one, and takes strict wins only', async () => {
    const row = (id: number, domain: string) => ({
      id,
      prompt: 'q',
      chosen: ['a', 'b', 'c'],
      rejected: ['d', 'e', 'f'],
      domain,
    });
    await writeFile(
      join(folder, 'rm.json'),
      JSON.stringify([row(1, 'chat'), row(2, 'safety-refuse'), row(3, 'safety-response'), row(4, 'chat')]),
    );
    const suite = await readSuite('rm-bench', [join(folder, 'rm.json')]);
    const all = [2, 2, 2, 1, 1, 1];
    const none = [1, 1, 1, 1, 1, 1];
    const { overall, details, parts } = measure(suite, [all, all, none, none]);
    expect(parts).toEqual({ chat: 0.5, 'safety-refuse': 1, 'safety-response': 0 });
    expect(overall).toBeCloseTo(0.5, 12);
    expect(details['hard']).toBeCloseTo(0.5, 12);
  });

  it('equals the matrix of the paper on random rewards: upper triangle hard, diagonal normal, lower easy', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 6, maxLength: 6 }), (rewards) => {
        const win = (i: number, j: number): number => ((rewards[i] ?? 0) > (rewards[3 + j] ?? 0) ? 1 : 0);
        const found = styleWins(rewards);
        expect(found.hard).toBeCloseTo((win(0, 1) + win(0, 2) + win(1, 2)) / 3, 12);
        expect(found.normal).toBeCloseTo((win(0, 0) + win(1, 1) + win(2, 2)) / 3, 12);
        expect(found.easy).toBeCloseTo((win(1, 0) + win(2, 0) + win(2, 1)) / 3, 12);
      }),
    );
  });
});

describe('PPE', () => {
  it('takes pair accuracy by part, best-of-k and the worst part; human ties are left out', async () => {
    const human = (winner: string, language = 'English') => ({
      ...{ question_id: winner, prompt: 'q', response_1: 'a', response_2: 'b', winner, language },
    });
    await writeFile(
      join(folder, 'PPE-Human-Preference-V1.json'),
      JSON.stringify([human('model_a'), human('model_b', 'German'), human('tie'), human('tie (bothbad)')]),
    );
    const suite = await readSuite('ppe', [
      join(folder, 'PPE-Human-Preference-V1.json'),
      join(FIXTURES, 'PPE-GPQA-Best-of-K.parquet'),
    ]);
    expect(suite.leftOut).toEqual({ human_tie: 2 });
    expect(suite.items.map(({ responses }) => responses.length)).toEqual([2, 2, 4]);
    const { overall, parts, details } = measure(suite, [
      [1, 0],
      [1, 0],
      [3, 1, 2, 2],
    ]);
    expect(parts).toEqual({ human: 0.5, gpqa: 0.75 });
    expect(overall).toBe(0.625);
    expect(details).toMatchObject({
      'human: English': 1,
      'human: German': 0,
      'gpqa: best of 1': expect.closeTo(0.5, 12),
      'gpqa: best of 4': 1,
      'worst part: human': 0.5,
    });
  });

  it('best of k equals the enumeration of all subsets, ties broken at random', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 1 })), {
          minLength: 2,
          maxLength: 8,
        }),
        fc.integer({ min: 1, max: 8 }),
        (rows, size) => {
          const k = Math.min(size, rows.length);
          let [sum, count] = [0, 0];
          for (let set = 0; set < 2 ** rows.length; set++) {
            const own = rows.filter((_, i) => (set >> i) & 1);
            if (own.length !== k) continue;
            const best = own.filter(([reward]) => reward === Math.max(...own.map(([one]) => one)));
            sum += best.reduce((all, [, quality]) => all + quality, 0) / best.length;
            count++;
          }
          const found = bestOfK(
            rows.map(([reward]) => reward),
            rows.map(([, quality]) => quality),
            k,
          );
          expect(found).toBeCloseTo(sum / count, 10);
        },
      ),
      { numRuns: 50 },
    );
  });
});

it('JudgeBench: right if the labelled response has more reward; a tie is wrong', async () => {
  const row = (pair_id: string, label: string, source: string) => ({
    ...{ pair_id, label, source, original_id: '1', question: 'q', response_model: 'm' },
    ...{ response_A: 'a', response_B: 'b' },
  });
  await writeFile(
    join(folder, 'judge.jsonl'),
    [row('1', 'A>B', 'mmlu-pro-law'), row('2', 'B>A', 'livebench-math'), row('3', 'B>A', 'livecodebench')]
      .map((one) => JSON.stringify(one))
      .join('\n'),
  );
  const suite = await readSuite('judgebench', [join(folder, 'judge.jsonl')]);
  const { overall, details } = measure(suite, [
    [1, 0],
    [1, 2],
    [1, 1],
  ]);
  expect(overall).toBeCloseTo(2 / 3, 12);
  expect(details).toMatchObject({ knowledge: 1, math: 1, coding: 0, m: 2 / 3 });
});

it('a malformed row is named by file and number', async () => {
  await writeFile(join(folder, 'bad.jsonl'), '{"id": 1}\n');
  await expect(readSuite('rm-bench', [join(folder, 'bad.jsonl')])).rejects.toMatchObject({
    code: 'DATA_LOSS',
    reason: 'BAD_ROW',
    field: expect.stringContaining('bad.jsonl: row 1'),
  });
  await expect(readSuite('rm-bench', [join(folder, 'absent')])).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

it('leafBootstrap: weighted mean of leaves, paired differences, seeds as outer level', () => {
  const leaves = (shift: number) => [
    meanLeaf('a', 0.75, [0 + shift, 1 + shift]),
    meanLeaf('b', 0.25, [shift, shift, shift]),
  ];
  const [first, second] = leafBootstrap(
    [
      { group: 'x', seeds: [leaves(0)] },
      { group: 'y', seeds: [leaves(0.5), leaves(0.5)] },
    ],
    { draws: 500, seed: 1 },
  );
  expect(first?.overall.value).toBeCloseTo(0.375, 12);
  expect(second?.difference).toMatchObject({ value: 0.5 });
  expect(second?.difference.low).toBeCloseTo(0.5, 12);
  expect(second?.difference.high).toBeCloseTo(0.5, 12);
  expect(first?.overall.standardError).toBeCloseTo(0.75 * Math.sqrt(0.25 / 2), 1);
});

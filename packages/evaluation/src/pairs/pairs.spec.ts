import { createRandom } from '@dmoerm/core';
import type { Pair } from '@dmoerm/dataset';
import fc from 'fast-check';
import { longerWins, type Arm } from './arm';
import { accuracyOf, differenceOf, type Clustered } from './figures';
import { noJudgement, type Judgement } from './judge';
import { lengthReport } from './length';
import { evaluateMargins } from './margins-evaluation';
import { markCount, styleOf } from './markdown';
import { selectPairs } from './pair-data';
import { macroF1, routerReport } from './router-report';

const pair = (over: Partial<Pair>): Pair => ({
  source: 's',
  licence: 'MIT',
  messages: [{ role: 'user', content: 'q' }],
  split: 'test',
  task: 'chat',
  prompt_id: 'p',
  chosen: 'good',
  rejected: 'bad',
  tie: false,
  first_turn_in_train: false,
  ...over,
});
const judged = (margin: number, task = 'chat'): Judgement => ({
  ...{ margin, chosen: margin, rejected: 0, task, failure: null, truncated: false, degraded: false },
});
const arm = (name: string, ...seeds: number[][]): Arm => ({
  name,
  group: name,
  seeds: seeds.map((margins) =>
    margins.map((margin) => (Number.isNaN(margin) ? noJudgement('chat', 'TOO_LONG') : judged(margin))),
  ),
});
const options = (pairs: readonly Pair[]) => ({
  pairs,
  categoryOf: ({ task }: Clustered) => task,
  bootstrap: { draws: 50, seed: 1 },
});

/** Random pairs with clustered prompts, and a margin each. */
const problem = fc
  .array(
    fc.record({
      task: fc.constantFrom('chat', 'code', 'qa'),
      source: fc.constantFrom('s', 't'),
      prompt_id: fc.constantFrom('1', '2', '3', '4'),
      margin: fc.constantFrom(-2, -1, 0, 1, 2, NaN),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((rows) => ({
    pairs: rows.map(({ task, source, prompt_id }) => pair({ task, source, prompt_id })),
    margins: rows.map(({ margin }) => margin),
  }));

/** The metric's words, one after another. */
function bruteForce(pairs: readonly Pair[], margins: readonly number[]): number | null {
  const tasks: Record<string, Record<string, number[]>> = {};
  pairs.forEach(({ task, source, prompt_id: id }, i) => {
    const margin = margins[i] ?? NaN;
    if (Number.isNaN(margin)) return;
    ((tasks[task] ??= {})[`${source} ${id}`] ??= []).push(margin > 0 ? 1 : margin < 0 ? 0 : 0.5);
  });
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const means = Object.values(tasks).map((prompts) => mean(Object.values(prompts).map(mean)));
  return means.length === 0 ? null : mean(means);
}

describe('accuracyOf', () => {
  it('equals brute force on random ranks: within prompt, then prompts, then tasks; what has no reward counts nowhere', () => {
    fc.assert(
      fc.property(problem, ({ pairs, margins }) => {
        const expected = bruteForce(pairs, margins);
        const { value, categories, pairs: count } = accuracyOf(arm('x', margins), options(pairs));
        expect(count).toBe(margins.filter((margin) => !Number.isNaN(margin)).length);
        if (expected === null) expect(value).toBeNull();
        else expect(value).toBeCloseTo(expected, 12);
        for (const [task, figure] of Object.entries(categories))
          expect(figure.value).toBeCloseTo(
            bruteForce(
              pairs,
              margins.map((margin, i) => (pairs[i]?.task === task ? margin : NaN)),
            ) ?? NaN,
            12,
          );
      }),
      { numRuns: 60 },
    );
  });

  it('reversed labels give 1 - accuracy, ties of rewards included, and the mirrored interval', () => {
    fc.assert(
      fc.property(problem, ({ pairs, margins }) => {
        const one = accuracyOf(arm('x', margins), options(pairs));
        const reversed = accuracyOf(
          arm(
            'x',
            margins.map((margin) => -margin),
          ),
          options(pairs),
        );
        if (one.value === null) return expect(reversed.value).toBeNull();
        expect(reversed.value).toBeCloseTo(1 - one.value, 12);
        expect(reversed.standard_error).toBeCloseTo(one.standard_error ?? NaN, 12);
      }),
      { numRuns: 40 },
    );
  });

  it('takes the mean over seeds, on pairs that all seeds judged', () => {
    const pairs = ['1', '2', '3'].map((prompt_id) => pair({ prompt_id }));
    const { value, pairs: count } = accuracyOf(arm('x', [1, 1, 1], [-1, 1, NaN]), options(pairs));
    expect([value, count]).toEqual([0.75, 2]);
  });
});

describe('differenceOf', () => {
  it('is on the pairs that both judged: the difference of their accuracies there', () => {
    fc.assert(
      fc.property(
        problem,
        fc.infiniteStream(fc.constantFrom(-1, 0, 1, NaN)),
        ({ pairs, margins }, stream) => {
          const others = pairs.map(() => stream.next().value ?? 0);
          const both = (own: readonly number[], i: number): number =>
            Number.isNaN(margins[i]) || Number.isNaN(others[i]) ? NaN : (own[i] ?? NaN);
          const found = differenceOf(arm('x', margins), arm('y', others), options(pairs));
          const [x, y] = [margins, others].map((own) =>
            bruteForce(
              pairs,
              own.map((_, i) => both(own, i)),
            ),
          );
          if (x === null || x === undefined || y === null || y === undefined)
            return expect([found.value, found.p]).toEqual([null, null]);
          expect(found.value).toBeCloseTo(x - y, 12);
          for (const { p, p_holm: adjusted } of Object.values(found.categories))
            expect(adjusted).toBeGreaterThanOrEqual(p);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('finds no difference of an arm to itself', () => {
    const pairs = Array.from({ length: 30 }, (_, i) => pair({ prompt_id: `${i}` }));
    const own = arm(
      'x',
      pairs.map((_, i) => (i % 3) - 1),
    );
    expect(differenceOf(own, own, options(pairs))).toMatchObject({ value: 0, interval: [0, 0], p: 1 });
  });
});

describe('length', () => {
  const text = (length: number): string => 'x'.repeat(length);
  const random = createRandom(5);
  const pairs = Array.from({ length: 200 }, (_, i) => {
    const [a, b] = [10 + Math.floor(200 * random()), 10 + Math.floor(200 * random())];
    return pair({ prompt_id: `${i}`, chosen: text(a), rejected: text(a === b ? b + 1 : b) });
  });

  it('longer_wins is all length: right where the longer was preferred, correlation 1, and nothing without it', () => {
    const report = lengthReport(longerWins(pairs), options(pairs));
    expect(report.longer_preferred.value).toBe(1);
    expect(report.shorter_preferred.value).toBe(0);
    expect(report.spearman_length.value).toBe(1);
    expect(report.spearman_markdown.value).toBeNull();
    expect(report.length_matched.pairs).toBeGreaterThan(0);
    expect(report.length_matched.pairs).toBeLessThan(100);
  });

  it('takes length out of a reward that is quality plus length', () => {
    const margins = pairs.map(
      ({ chosen, rejected }) => 1 + 5 * (Math.log1p(chosen.length) - Math.log1p(rejected.length)),
    );
    const plain = accuracyOf(arm('x', margins), options(pairs)).value ?? NaN;
    const { residual, coefficients, r_squared: share } = lengthReport(arm('x', margins), options(pairs));
    expect(plain).toBeLessThan(0.75);
    expect(residual.value).toBeGreaterThan(0.98);
    expect(coefficients['log_length']).toBeGreaterThan(0.5);
    expect(share).toBeGreaterThan(0.8);
  });

  it('counts markdown', () => {
    const style = styleOf('# Title\n\n- one\n2. two\n**bold** and __bold__\n```js\nx\n```\n');
    expect(style).toMatchObject({ headers: 1, listItems: 2, bold: 2, codeBlocks: 1 });
    expect(markCount(styleOf('a - b, 3 * 4 and #5'))).toBe(0);
  });
});

describe('selectPairs', () => {
  const rows = Array.from({ length: 40 }, (_, i) =>
    pair({ prompt_id: `${i % 20}`, tie: i % 10 === 0, first_turn_in_train: i % 20 === 3 }),
  );
  const data = {
    preferences: [...rows, pair({ split: 'train' })],
    capabilityPairs: [],
    routes: [],
    digests: {},
  };

  it('leaves ties out and sets pairs apart whose first turn is in training', () => {
    const { main, seen, ties } = selectPairs(data, { split: 'test', limit: null });
    expect([main.length, seen.length, ties]).toEqual([34, 2, 4]);
  });

  it('limits prompts, the same ones in any order, and keeps all pairs of a prompt', () => {
    const ids = (own: readonly Pair[]): string[] => [...new Set(own.map(({ prompt_id: id }) => id))].sort();
    const one = selectPairs(data, { split: 'test', limit: 5 });
    const other = selectPairs(
      { ...data, preferences: data.preferences.toReversed() },
      { split: 'test', limit: 5 },
    );
    expect(ids([...one.main, ...one.seen])).toEqual(ids([...other.main, ...other.seen]));
    expect(ids([...one.main, ...one.seen]).length).toBeLessThanOrEqual(5);
    expect(selectPairs(data, { split: 'test', limit: 99 })).toEqual(
      selectPairs(data, { split: 'test', limit: null }),
    );
  });
});

describe('routerReport', () => {
  const decision = (task: string, probability: number) => ({
    assignments: [{ task, weight: 1 }],
    distribution: [{ task, probability }],
    fallback: false,
  });

  it('counts unknown tasks in the confusion only', () => {
    const report = routerReport(
      'x',
      'pairs',
      [
        { label: 'a', decision: decision('a', 0.8) },
        { label: 'a', decision: decision('b', 0.6) },
        { label: 'c', decision: decision('b', 0.9) },
      ],
      ['a', 'b'],
    );
    expect(report).toMatchObject({ prompts: 3, known: 2, accuracy: 0.5 });
    expect(report.ece).toBeCloseTo((0.2 + 0.6) / 2, 12);
    expect(report.confusion).toEqual({ a: { a: 1, b: 1 }, c: { b: 1 } });
  });

  it('macro F1 is the mean over labels', () => {
    const guesses = [
      { label: 'a', guess: 'a' },
      { label: 'a', guess: 'b' },
      { label: 'b', guess: 'b' },
    ];
    expect(macroF1(guesses)).toBeCloseTo(2 / 3, 12);
  });
});

it('evaluateMargins clusters by prompt: pairs that share prompts have wider intervals', () => {
  const random = createRandom(7);
  const rows = (prompts: number): Pair[] =>
    Array.from({ length: 200 }, (_, i) => pair({ prompt_id: `${i % prompts}` }));
  const width = (prompts: number, margin: (i: number) => number): number => {
    const { interval } = evaluateMargins(
      'g',
      rows(prompts),
      rows(prompts).map((_, i) => margin(i)),
    ).model;
    return (interval?.[1] ?? NaN) - (interval?.[0] ?? NaN);
  };
  expect(width(10, (i) => (i % 10) - 4.5)).toBeGreaterThan(2 * width(200, () => random() - 0.5));
});

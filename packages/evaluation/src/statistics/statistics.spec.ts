import { createRandom, normal } from '@dmoerm/core';
import fc from 'fast-check';
import { bootstrap } from './bootstrap';
import { detectableDifference, plannedDifference } from './detectable';
import { holm } from './holm';
import { leastSquares } from './least-squares';
import { createPanel, macroMean } from './panel';
import { midRanks, spearman } from './ranks';
import { signFlip, signFlipP } from './sign-flip';

const OPTIONS = { draws: 2000, seed: 1 };
const side = (group: string, ...seeds: number[][]) => ({
  group,
  seeds: seeds.map((values) => Float64Array.from(values)),
});
const normals = (count: number, seed: number): number[] => {
  const random = createRandom(seed);
  return Array.from({ length: count }, () => normal(random));
};

describe('macroMean', () => {
  it('is the mean of the means of categories, however many prompts each has', () => {
    const panel = createPanel(['a', 'b', 'a', 'a']);
    expect(macroMean(panel, [1, 0, 0, 0.5])).toEqual({ overall: 0.25, byCategory: [0.5, 0] });
  });
});

describe('bootstrap', () => {
  it('has the standard error that theory says: sqrt(sum of variance / n by category) / categories', () => {
    const values = normals(300, 1);
    const panel = createPanel(values.map((_, i) => (i < 100 ? 'a' : 'b')));
    const [estimate] = bootstrap(panel, [{ plus: side('x', values), minus: null }], OPTIONS);
    const variance = (own: number[]): number => {
      const centre = own.reduce((a, b) => a + b, 0) / own.length;
      return own.reduce((sum, x) => sum + (x - centre) ** 2, 0) / own.length ** 2;
    };
    const expected = Math.sqrt(variance(values.slice(0, 100)) + variance(values.slice(100))) / 2;
    expect(estimate?.overall.standardError).toBeGreaterThan(0.95 * expected);
    expect(estimate?.overall.standardError).toBeLessThan(1.05 * expected);
    // Of a mean of normals, the percentiles are 1.96 standard errors away.
    expect((estimate?.overall.high ?? 0) - (estimate?.overall.low ?? 0)).toBeGreaterThan(2 * 1.83 * expected);
    expect((estimate?.overall.high ?? 0) - (estimate?.overall.low ?? 0)).toBeLessThan(2 * 2.09 * expected);
  });

  it('covers the truth in about 95 % of samples', () => {
    let covered = 0;
    for (let sample = 0; sample < 100; sample++) {
      const panel = createPanel(new Array<string>(40).fill('a'));
      const plus = side('x', normals(40, 100 + sample));
      const [estimate] = bootstrap(panel, [{ plus, minus: null }], { draws: 300, seed: sample });
      if ((estimate?.overall.low ?? 1) <= 0 && (estimate?.overall.high ?? -1) >= 0) covered++;
    }
    expect(covered).toBeGreaterThan(87);
    expect(covered).toBeLessThan(100);
  });

  it('pairs arms: what both have in common adds nothing to the interval of their difference', () => {
    const shared = normals(100, 2);
    const panel = createPanel(shared.map(() => 'a'));
    const [difference] = bootstrap(
      panel,
      [
        {
          plus: side(
            'x',
            shared.map((x) => x + 0.25),
          ),
          minus: side('y', shared),
        },
      ],
      OPTIONS,
    );
    expect(difference?.overall.low).toBeCloseTo(0.25, 12);
    expect(difference?.overall.high).toBeCloseTo(0.25, 12);
  });

  it('resamples seeds as the outer level: seeds that disagree widen the interval as their spread says', () => {
    const panel = createPanel(['a', 'b']);
    const seeds = [0, 1, 2, 3].map((level) => [level, level]);
    const [estimate] = bootstrap(panel, [{ plus: side('x', ...seeds), minus: null }], OPTIONS);
    expect(estimate?.overall.value).toBe(1.5);
    // Variance of 0..3 is 1.25; a mean of 4 of them has a quarter of it.
    expect(estimate?.overall.standardError).toBeCloseTo(Math.sqrt(1.25 / 4), 1);
    const same = bootstrap(panel, [{ plus: side('x', ...seeds), minus: side('x', ...seeds) }], OPTIONS);
    expect(same[0]?.overall.high).toBe(0);
  });

  it('gives the same digits for the same seed, and a series the same draws whatever stands beside it', () => {
    const values = normals(40, 3);
    const panel = createPanel(values.map((_, i) => `${i % 3}`));
    const one = { plus: side('x', values), minus: null };
    const other = { plus: side('y', normals(40, 4), normals(40, 5)), minus: null };
    const alone = bootstrap(panel, [one], OPTIONS)[0];
    expect(bootstrap(panel, [other, one], OPTIONS)[1]).toEqual(alone);
    expect(bootstrap(panel, [one], { ...OPTIONS, seed: 2 })[0]).not.toEqual(alone);
  });
});

describe('signFlipP', () => {
  it('counts all sign patterns of few terms: 2 of 2^n for terms of one sign', () => {
    expect(signFlipP([1, 2, 3, 4, 5], OPTIONS)).toBe(2 / 32);
    expect(signFlipP([1, -1], OPTIONS)).toBe(1);
    expect(signFlipP([0, 0, 0], OPTIONS)).toBe(1);
  });

  it('samples what it cannot count: the known p of a sign test', () => {
    // 20 equal terms, 15 of them positive: p = P(|2 B - 20| >= 10), B binomial(20, 1/2) = 0.0414.
    const terms = Array.from({ length: 20 }, (_, i) => (i < 15 ? 1 : -1));
    expect(signFlipP(terms, { draws: 20_000, seed: 1 })).toBeCloseTo(0.0414, 2);
  });

  it('is uniform without an effect', () => {
    const p = Array.from({ length: 300 }, (_, i) => signFlipP(normals(30, i), { draws: 200, seed: i }));
    for (const level of [0.1, 0.3, 0.7]) {
      const below = p.filter((one) => one <= level).length / p.length;
      expect(Math.abs(below - level)).toBeLessThan(0.1);
    }
  });

  it('weighs categories alike, as the estimate does', () => {
    const panel = createPanel(['a', 'b', 'b']);
    // By category: +1 and -1 cancel, whatever the number of prompts.
    expect(signFlip(panel, [1, -1, -1], OPTIONS)).toEqual({ overall: 1, byCategory: [1, 0.5] });
  });
});

describe('holm', () => {
  it('adjusts the table of Holm (1979) style examples', () => {
    expect(holm([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02]);
    expect(holm([0.9, 0.8])).toEqual([1, 1]);
    expect(holm([])).toEqual([]);
  });

  it('never rejects less than Bonferroni and keeps the order of p', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1 }), (p) => {
        const adjusted = holm(p);
        p.forEach((one, i) => {
          expect(adjusted[i]).toBeGreaterThanOrEqual(one);
          expect(adjusted[i]).toBeLessThanOrEqual(Math.min(1, one * p.length) + 1e-12);
          p.forEach((other, j) => {
            if (one < other) expect(adjusted[i]).toBeLessThanOrEqual(adjusted[j] ?? 0);
          });
        });
      }),
      { numRuns: 50 },
    );
  });
});

it('detectable difference: 2.80 standard errors, and 0.5 / sqrt(n) of one category', () => {
  expect(detectableDifference(1)).toBeCloseTo(2.8016, 2);
  const panel = createPanel(new Array<string>(100).fill('a'));
  expect(plannedDifference(panel)).toBeCloseTo(2.8016 * 0.05, 3);
});

describe('ranks', () => {
  it('shares the ranks of equal values', () => expect(midRanks([3, 1, 3, 2])).toEqual([3.5, 1, 3.5, 2]));

  it('is 1 - 6 sum d^2 / (n (n^2 - 1)) without ties, and null for a constant', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer(), { minLength: 3, maxLength: 12 }), (values) => {
        const n = values.length;
        const other = values.map((_, i) => (i * 7) % n).map((x, i) => x + i / 100);
        const [a, b] = [midRanks(values), midRanks(other)];
        const squares = a.reduce((sum, rank, i) => sum + (rank - (b[i] ?? 0)) ** 2, 0);
        expect(spearman(values, other)).toBeCloseTo(1 - (6 * squares) / (n * (n ** 2 - 1)), 10);
      }),
      { numRuns: 50 },
    );
    expect(spearman([1, 1], [1, 2])).toBeNull();
  });
});

it('leastSquares finds the coefficients that made the targets, also with a column that says nothing', () => {
  const rows = Array.from({ length: 50 }, (_, i) => [Math.sin(i), Math.cos(3 * i), 0]);
  const found = leastSquares(
    rows,
    rows.map(([a = 0, b = 0]) => 2 * a - 3 * b),
  );
  [2, -3, 0].forEach((expected, f) => expect(found[f]).toBeCloseTo(expected, 6));
  expect(leastSquares([], [])).toEqual([]);
});

import fc from 'fast-check';
import { combineHeads, combineScores, isFinite, standardise } from './combine';
import type { ScoreRule } from './combine';

const scores = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 8 });
const rules: readonly ScoreRule[] = [
  { type: 'mean' },
  { type: 'worst_case' },
  { type: 'uncertainty_weighted', lambda: 0.5 },
];

describe('standardise', () => {
  it('gives distances from the mean in standard deviations', () => {
    const scales = [
      { mean: 1, std: 2 },
      { mean: -1, std: 0.5 },
    ];
    expect(standardise([5, -2], scales)).toEqual([2, -2]);
  });

  it('gives NaN for a score that is missing, never 0', () => {
    expect(standardise([], [{ mean: 0, std: 1 }])).toEqual([NaN]);
  });
});

describe('combineScores', () => {
  it.each([
    ['mean', { type: 'mean' }, 1],
    ['worst case', { type: 'worst_case' }, -1],
    ['uncertainty weighted', { type: 'uncertainty_weighted', lambda: 0.5 }, 1 - 0.5 * (8 / 3)],
  ] as const)('gives the %s', (_, rule, expected) => {
    expect(combineScores([-1, 1, 3], rule).reward).toBeCloseTo(expected, 12);
  });

  it('equals the mean for an uncertainty weight of 0', () => {
    fc.assert(
      fc.property(scores, (z) => {
        const weighted = combineScores(z, { type: 'uncertainty_weighted', lambda: 0 });
        expect(weighted.reward).toBe(combineScores(z, { type: 'mean' }).reward);
      }),
    );
  });

  it('is never above the mean and never below the worst case by mistake of order', () => {
    fc.assert(
      fc.property(scores, (z) => {
        const worst = combineScores(z, { type: 'worst_case' }).reward;
        expect(worst).toBe(Math.min(...z));
        expect(worst).toBeLessThanOrEqual(combineScores(z, { type: 'mean' }).reward + 1e-9);
      }),
    );
  });

  it('says how much each expert moved the reward: the contributions of a mean add up to it', () => {
    fc.assert(
      fc.property(scores, (z) => {
        const { reward, contributions } = combineScores(z, { type: 'mean' });
        expect(contributions.reduce((a, b) => a + b, 0)).toBeCloseTo(reward, 9);
      }),
    );
  });

  it('gives an expert at its mean no contribution, whatever the rule', () => {
    for (const rule of rules) expect(combineScores([0, 2, -1], rule).contributions[0]).toBe(0);
  });

  it('lets a non-finite score be seen', () => {
    for (const rule of rules) expect(isFinite(combineScores([1, NaN], rule))).toBe(false);
  });
});

describe('combineHeads', () => {
  it('averages the heads and takes each expert away in turn', () => {
    const rows = [1, 3, /* without the first expert */ 1, 1, /* without the second */ 4, 4];
    expect(combineHeads(rows, [0.5, -0.5])).toEqual({
      reward: 2,
      contributions: [1, -2],
      expertSpread: 0.5,
      headSpread: 1,
    });
  });

  it('has no spread with a single head', () => {
    expect(combineHeads([7, 6], [1]).headSpread).toBe(0);
  });
});

import { createRandom, normal } from '@dmoerm/core';
import { resample } from './resample';

const random = createRandom(3);
/** Two columns that differ by 0.5 beside noise that they share. */
const rows = Array.from({ length: 200 }, () => {
  const own = normal(random);
  return [own, own + 0.5 + 0.1 * normal(random)];
});
const strata = rows.map((_, i) => (i % 4 === 0 ? 'a' : 'b'));
const figures = (mean: readonly number[]) => ({
  first: mean[0] as number,
  difference: (mean[1] as number) - (mean[0] as number),
});

describe('resample', () => {
  const result = resample(rows, strata, figures, { draws: 2000, seed: 1 });

  it('gives the middle of 95 % of the draws, as wide as theory says', () => {
    const [low, high] = result.first.interval;
    expect(low).toBeLessThan(result.first.value);
    expect(high).toBeGreaterThan(result.first.value);
    expect(high - low).toBeGreaterThan(0.9 * (3.92 / Math.sqrt(200)));
    expect(high - low).toBeLessThan(1.1 * (3.92 / Math.sqrt(200)));
  });

  it('pairs what is in one row: a difference is known better than its parts', () => {
    const width = ({ interval: [low, high] }: { interval: readonly [number, number] }): number => high - low;
    expect(width(result.difference)).toBeLessThan(width(result.first) / 5);
    expect(result.difference.interval[0]).toBeGreaterThan(0.45);
  });

  it('draws the same from the same seed, and keeps the strata', () => {
    expect(resample(rows, strata, figures, { draws: 2000, seed: 1 })).toEqual(result);
    const apart = [[0], [0], [10], [10]];
    const { mean } = resample(apart, ['x', 'x', 'y', 'y'], ([one]) => ({ mean: one as number }), {
      draws: 100,
      seed: 1,
    });
    expect(mean.interval).toEqual([5, 5]);
  });
});

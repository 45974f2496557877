import { createRandom } from '@dmoerm/core';
import fc from 'fast-check';
import { bestOfN, bestOfNKl } from './best-of-n';

const COUNT = 8;
const SIZES = Array.from({ length: COUNT }, (_, i) => i + 1);
/** Few values, so that there are ties. */
const scores = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: COUNT, maxLength: COUNT });
const golds = fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: COUNT, maxLength: COUNT });
const orders = fc.shuffledSubarray(SIZES, { minLength: COUNT, maxLength: COUNT });

/** Mean over all subsets of n, each won by its largest score, ties by the larger number. */
function enumerated(proxy: number[], gold: number[], tie: number[], n: number): number {
  let sum = 0;
  let count = 0;
  for (let mask = 0; mask < 2 ** COUNT; mask++) {
    const own = proxy.map((_, i) => i).filter((i) => (mask >> i) & 1);
    if (own.length !== n) continue;
    const best = own.reduce((a, b) =>
      proxy[b]! > proxy[a]! || (proxy[b] === proxy[a] && tie[b]! > tie[a]!) ? b : a,
    );
    sum += gold[best]!;
    count++;
  }
  return sum / count;
}

describe('bestOfN', () => {
  it('is the mean over all subsets', () => {
    fc.assert(
      fc.property(scores, golds, orders, (proxy, gold, tie) => {
        bestOfN(proxy, gold, tie, SIZES).forEach((value, i) =>
          expect(value).toBeCloseTo(enumerated(proxy, gold, tie, i + 1), 9),
        );
      }),
    );
  });

  it('moves gold and proxy of a sample together: the order of the samples counts for nothing', () => {
    fc.assert(
      fc.property(scores, golds, orders, orders, (proxy, gold, tie, permutation) => {
        const moved = <T>(values: T[]): T[] => permutation.map((i) => values[i - 1]!);
        const values = bestOfN(moved(proxy), moved(gold), moved(tie), SIZES);
        bestOfN(proxy, gold, tie, SIZES).forEach((value, i) => expect(values[i]).toBeCloseTo(value, 9));
      }),
    );
  });

  it('control: sorting the scores alone gives another number', () => {
    const [proxy, gold, tie] = [
      [3, 1, 2],
      [0, 5, 1],
      [1, 2, 3],
    ];
    expect(bestOfN(proxy, gold, tie, [3])).toEqual([0]);
    expect(bestOfN([...proxy].sort(), gold, tie, [3])).not.toEqual([0]);
  });

  it('stays finite where binomials do not', () => {
    const random = createRandom(1);
    const proxy = Array.from({ length: 20_000 }, random);
    const [middle, most] = bestOfN(proxy, proxy, [...proxy.keys()], [10_000, 20_000]);
    expect(middle).toBeGreaterThan(0.999);
    expect(most).toBeCloseTo(Math.max(...proxy), 12);
  });

  it('refuses lists that are not of the same samples', () => {
    expect(() => bestOfN([1, 2], [1], [1, 2], [1])).toThrow(RangeError);
    expect(() => bestOfN([1, 2], [1, 2], [1, 2], [3])).toThrow(RangeError);
  });
});

describe('bestOfNKl', () => {
  it.each([
    [1, 0],
    [4, 0.636],
    [16, 1.835],
    [64, 3.175],
    [256, 4.549],
    [1024, 5.932],
  ])('of %d is %d', (n, kl) => expect(bestOfNKl(n)).toBeCloseTo(kl, 3));
});

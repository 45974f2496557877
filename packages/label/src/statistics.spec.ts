import fc from 'fast-check';
import { measureAgreement } from './agreement';
import type { Preference } from './comparison';
import type { Label } from './filter';
import type { Judged } from './judged';
import { measurePosition } from './position';
import { createReports } from './report';
import { comparisonOf } from './spec-support/fixtures';
import { clusterInterval, cohenKappa, rawAgreement, wilson } from './statistics';

describe('wilson', () => {
  it('has the published interval of 8 of 10', () => {
    expect(wilson(8, 10)?.low).toBeCloseTo(0.4902, 4);
    expect(wilson(8, 10)?.high).toBeCloseTo(0.9433, 4);
  });

  it('stays inside [0, 1], around the share, and shrinks with more of the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, p) => {
        const hits = Math.round(p * n);
        const [one, more] = [wilson(hits, n), wilson(10 * hits, 10 * n)];
        if (one === null || more === null) throw new Error('of something');
        expect(one.low).toBeGreaterThanOrEqual(0);
        expect(one.high).toBeLessThanOrEqual(1);
        expect(one.low).toBeLessThanOrEqual(one.value + 1e-12);
        expect(one.high).toBeGreaterThanOrEqual(one.value - 1e-12);
        expect(more.high - more.low).toBeLessThan(one.high - one.low);
      }),
    );
    expect(wilson(0, 0)).toBeNull();
  });
});

describe('kappa', () => {
  it('has the value of the textbook example', () => {
    const table = [
      [20, 5],
      [10, 15],
    ];
    expect(rawAgreement(table)).toBeCloseTo(0.7);
    expect(cohenKappa(table)).toBeCloseTo(0.4);
  });

  it('is 1 for equals, 0 for a labeller that always says one thing, null for none', () => {
    expect(cohenKappa([[5, 0], [0, 5]])).toBe(1); // prettier-ignore
    expect(cohenKappa([[5, 0], [5, 0]])).toBe(0); // prettier-ignore
    expect(cohenKappa([[5, 0], [0, 0]])).toBe(0); // prettier-ignore
    expect(cohenKappa([])).toBeNull();
  });

  it('has an interval that knows that comparisons of one prompt are not independent', () => {
    const good = [[1, 0], [0, 1]]; // prettier-ignore
    const bad = [[0, 1], [1, 0]]; // prettier-ignore
    const alone = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? bad : good));
    const merged = Array.from({ length: 6 }, (_, i) =>
      (i % 3 === 0 ? bad : good).map((row) => row.map((n) => 10 * n)),
    );
    const width = (interval: { low: number; high: number } | null): number => interval!.high - interval!.low;
    expect(width(clusterInterval(merged, cohenKappa))).toBeGreaterThan(
      2 * width(clusterInterval(alone, cohenKappa)),
    );
    expect(clusterInterval([good], cohenKappa)).toEqual({ low: -1, high: 1 });
  });
});

const KEPT = (winner: 'first' | 'second'): Label => ({ type: 'kept', winner });
const DROPPED: Label = { type: 'dropped', reason: 'inconsistent' };
const judged = (i: number, human: Preference | null, label: Label): Judged => ({
  comparison: { ...comparisonOf(i), humans: human === null ? [] : [human] },
  forward: { type: 'verdict', verdict: '1' },
  swapped: { type: 'verdict', verdict: label.type === 'kept' ? '2' : '1' },
  repeated: null,
  label,
});
const side = (i: number): 'first' | 'second' => (i % 2 === 0 ? 'first' : 'second');

describe('agreement', () => {
  const right = Array.from({ length: 30 }, (_, i) => judged(i, side(i), KEPT(side(i))));
  const silent = Array.from({ length: 30 }, (_, i) => judged(30 + i, side(i), DROPPED));

  it('counts an inconsistent comparison as an abstention: right where it speaks, not of all', () => {
    const agreement = measureAgreement([...right, ...silent]);
    expect(agreement?.kept).toMatchObject({ count: 30, prompts: 30, raw: 1, kappa: 1 });
    expect(agreement?.all).toMatchObject({ count: 60, raw: 0.5 });
    expect(agreement?.all.kappa).toBeLessThan(0.5);
  });

  it('does not depend on which response is called the first', () => {
    const mixed = right.map((one, i) => (i % 5 === 0 ? { ...one, label: KEPT(side(i + 1)) } : one));
    const turned = mixed.map((one) => ({
      ...one,
      comparison: { ...one.comparison, humans: ['first'] as const },
      label: KEPT(
        one.label.type === 'kept' && one.label.winner === one.comparison.humans[0] ? 'first' : 'second',
      ),
    }));
    const [a, b] = [measureAgreement(mixed), measureAgreement(turned)];
    expect(a?.kept.kappa).toBeCloseTo(0.6);
    expect(b).toEqual(a);
  });

  it('is measured only where people said something', () => {
    expect(measureAgreement([judged(1, null, KEPT('first'))])).toBeNull();
  });

  it('of people with each other needs two of them', () => {
    const [one] = right as [Judged];
    const several = { ...one, comparison: { ...one.comparison, humans: ['first', 'first'] as const } };
    expect(measureAgreement([one])?.humans).toBeNull();
    expect(measureAgreement([several])?.humans).toMatchObject({ count: 1, raw: 1 });
  });

  it('opens the gate only with enough labels that agree beyond chance', () => {
    const wrong = right.map((one, i) => ({ ...one, label: KEPT(side(i + (i % 4 < 2 ? 0 : 1))) }));
    const few = [...right, ...silent, ...silent.map((one, i) => judged(60 + i, null, one.label))];
    expect(createReports([...right, ...silent]).all).toMatchObject({ keepRate: 0.5, gate: 'passed' });
    expect(createReports(wrong).all.gate).toBe('failed');
    expect(createReports(few).all).toMatchObject({ gate: 'failed' });
    expect(createReports(few).all.keepRate).toBeLessThan(0.4);
    expect(createReports(right.map((one, i) => judged(i, null, one.label))).all.gate).toBe('unknown');
    // All right, and too few to tell.
    expect(createReports(right.slice(0, 9)).all).toMatchObject({ keepRate: 1, gate: 'unknown' });
  });
});

describe('position report', () => {
  it('sees a labeller that always takes the first, and that chance does not explain it', () => {
    const biased = Array.from({ length: 20 }, (_, i) => ({
      ...judged(i, null, DROPPED),
      repeated: { type: 'verdict', verdict: '1' } as const,
    }));
    const { firstWins, swapFlips, repeatFlips, longerWins } = measurePosition(biased);
    expect(firstWins).toMatchObject({ value: 1, count: 40 });
    expect(firstWins?.low).toBeGreaterThan(0.9);
    expect(swapFlips?.value).toBe(1);
    expect(repeatFlips?.value).toBe(0);
    expect(longerWins).toBeNull();
  });

  it('sees none in a labeller that judges responses', () => {
    const fair = Array.from({ length: 20 }, (_, i) => judged(i, null, KEPT('first')));
    expect(measurePosition(fair)).toMatchObject({ firstWins: { value: 0.5 }, swapFlips: { value: 0 } });
  });

  it('counts how often the longer response of a kept label wins, by length gaps', () => {
    const long = { ...comparisonOf(1), responses: ['a'.repeat(20), 'b'.repeat(10)] as const };
    const one = { ...judged(1, null, KEPT('first')), comparison: long };
    const { longerWins, byLengthGap } = measurePosition([one, { ...one, label: KEPT('second') }]);
    expect(longerWins).toMatchObject({ value: 0.5, count: 2 });
    expect(byLengthGap.map(({ swapFlips }) => swapFlips?.count ?? 0)).toEqual([0, 0, 2]);
  });
});

import { createRandom, normal, shuffle } from '@dmoerm/core';
import type { BonArm, Scores } from './arms';
import { curveOf, figuresOf, sizesOf } from './figures';

const PROMPTS = 40;
const SAMPLES = 128;
const random = createRandom(5);
const table = (value: (p: number, n: number) => number): Scores =>
  Array.from({ length: PROMPTS }, (_, p) => Array.from({ length: SAMPLES }, (_, n) => value(p, n)));
const gold = table(() => normal(random));
const ties = gold.map((row) => shuffle([...row.keys()], random));
/** Heavy tails: now and then a proxy falls for a response, the more surely the more there are. */
const fallible = (): Scores =>
  table(
    (p, n) =>
      (gold[p]?.[n] ?? 0) + (random() < 0.02 ? 6 - 3 * Math.sign(gold[p]?.[n] ?? 0) : 0.3 * normal(random)),
  );
const members = Array.from({ length: 5 }, fallible);
const arm = (name: string, ...seeds: Scores[]): BonArm => ({ name, seeds, passes: 1 });
const arms = [
  arm('single', ...members),
  arm(
    'ensemble_mean',
    table((p, n) => members.reduce((sum, own) => sum + (own[p]?.[n] ?? 0), 0) / 5),
  ),
  arm(
    'ensemble_wco',
    table((p, n) => Math.min(...members.map((own) => own[p]?.[n] ?? 0))),
  ),
  arm('gold', gold),
  arm(
    'nobody',
    table(() => 0),
  ),
];
const evidence = { noise: 0, gold, ties, strata: gold.map((_, p) => (p % 2 === 0 ? 'a' : 'b')), draws: 500 };
const figures = new Map(figuresOf(arms, evidence).map((one) => [one.arm, one]));
const of = (name: string) => figures.get(name)!;

describe('figuresOf', () => {
  it('begins where the policy is, whoever chooses', () => {
    const start = of('gold').curve[0]?.value;
    for (const { curve } of figures.values()) expect(curve[0]?.value).toBeCloseTo(start ?? NaN, 9);
    expect(of('gold').curve.map(({ n }) => n)).toEqual(sizesOf(SAMPLES));
  });

  it('climbs with gold itself, and stays with who knows nothing', () => {
    const climb = of('gold').curve.map(({ value }) => value);
    expect([...climb].sort((a, b) => a - b)).toEqual(climb);
    expect(of('gold').drop.value).toBe(0);
    const [low, high] = of('nobody').final.interval;
    expect(low).toBeLessThan(0);
    expect(high).toBeGreaterThan(0);
  });

  it('sees a single model overrate what it should not, the fit its turn, and the careful ensemble win', () => {
    expect(of('single').drop.interval[0]).toBeGreaterThan(0);
    expect(of('single').peak.value).not.toBeNull();
    expect(of('ensemble_wco').minus_single?.wins).toBe(true);
    expect(of('single').minus_single).toBeNull();
    expect(of('nobody').minus_single?.wins).toBe(false);
  });
});

describe('curveOf', () => {
  it('gives the proxy of what it chose, which only climbs', () => {
    const rows = curveOf(arm('single', ...members), null, evidence, sizesOf(SAMPLES));
    for (const row of rows) expect([...row].sort((a, b) => a - b)).toEqual(row);
  });
});

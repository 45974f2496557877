import { createRandom, groupBy } from '@dmoerm/core';

/** A figure with the middle 95 % of its bootstrap. */
export interface Interval {
  readonly value: number;
  readonly interval: readonly [number, number];
}

/**
 * Bootstrap over prompts, within each stratum (Efron & Tibshirani 1993): `figures` of the mean rows, and of the mean rows of each draw. All
 * that is compared must be in the rows: then differences are paired.
 * @param rows [prompts][columns]
 * @param strata of each prompt, e.g. its task
 */
export function resample<K extends string>(
  rows: readonly (readonly number[])[],
  strata: readonly string[],
  figures: (mean: readonly number[]) => Readonly<Record<K, number>>,
  { draws, seed }: { readonly draws: number; readonly seed: number },
): Record<K, Interval> {
  const members = [...groupBy([...strata.keys()], (p) => strata[p] ?? '').values()];
  const random = createRandom(seed);
  const own = figures(meanRow(rows, [...strata.keys()]));
  const names = Object.keys(own) as K[];
  const drawn = new Map(names.map((name) => [name, new Float64Array(draws)]));
  for (let draw = 0; draw < draws; draw++) {
    const picked = members.flatMap((group) =>
      group.map(() => group[Math.floor(random() * group.length)] as number),
    );
    const values = figures(meanRow(rows, picked));
    for (const name of names) (drawn.get(name) as Float64Array)[draw] = values[name];
  }
  const result = {} as Record<K, Interval>;
  for (const name of names) {
    const sorted = (drawn.get(name) as Float64Array).sort();
    const at = (share: number): number => sorted[Math.round(share * (draws - 1))] as number;
    result[name] = { value: own[name], interval: [at(0.025), at(0.975)] };
  }
  return result;
}

function meanRow(rows: readonly (readonly number[])[], picked: readonly number[]): number[] {
  const sums = new Array<number>(rows[0]?.length ?? 0).fill(0);
  for (const p of picked) {
    const row = rows[p] as readonly number[];
    for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + (row[i] as number);
  }
  return sums.map((sum) => sum / picked.length);
}

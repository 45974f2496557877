import { createRandom } from '@dmoerm/core';

/** A share of `count` things, with a 95 % interval. */
export interface Share {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

/** 97.5 % point of the standard normal distribution. */
const Z = 1.959963984540054;
const DRAWS = 2_000;

/** `hits` of `count` with its Wilson interval (E. B. Wilson, 1927); null of nothing. It stays inside [0, 1] and is sound for few. */
export function wilson(hits: number, count: number): Share | null {
  if (count === 0) return null;
  const p = hits / count;
  const middle = (p + Z ** 2 / (2 * count)) / (1 + Z ** 2 / count);
  const half = (Z * Math.sqrt((p * (1 - p)) / count + Z ** 2 / (4 * count ** 2))) / (1 + Z ** 2 / count);
  return { value: p, low: Math.max(0, middle - half), high: Math.min(1, middle + half), count };
}

/** Counts of two raters' categories, square: `table[i][j]` is how often the one said i where the other said j. */
export type Confusion = readonly (readonly number[])[];

/** Share of a table's entries on its diagonal; null of an empty table. */
export function rawAgreement(table: Confusion): number | null {
  const total = sum(table.flat());
  return total === 0 ? null : sum(table.map((row, i) => row[i] ?? 0)) / total;
}

/**
 * Cohen's kappa, (p_o - p_e) / (1 - p_e) (J. Cohen, 1960): agreement beyond what the raters' own frequencies give by chance. 0 where
 * both always say the same one thing, which shows nothing; null of an empty table.
 */
export function cohenKappa(table: Confusion): number | null {
  const size = table.length;
  const [rows, columns] = [new Array<number>(size).fill(0), new Array<number>(size).fill(0)];
  let [total, same, chance] = [0, 0, 0];
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++) {
      const count = table[i]?.[j] ?? 0;
      total += count;
      if (i === j) same += count;
      rows[i] = (rows[i] as number) + count;
      columns[j] = (columns[j] as number) + count;
    }
  if (total === 0) return null;
  for (let i = 0; i < size; i++) chance += (rows[i] as number) * (columns[i] as number);
  const [observed, expected] = [same / total, chance / total ** 2];
  return expected >= 1 ? 0 : (observed - expected) / (1 - expected);
}

/**
 * 95 % interval of a figure of summed tables, by bootstrap over clusters (the comparisons of one prompt are not independent), 2,000
 * draws, percentiles; null where the figure is. One cluster says nothing about others: its interval is the whole range.
 */
export function clusterInterval(
  clusters: readonly Confusion[],
  figure: (table: Confusion) => number | null,
  seed = 1,
): { readonly low: number; readonly high: number } | null {
  const whole = addTables(clusters);
  if (figure(whole) === null) return null;
  if (clusters.length < 2) return { low: -1, high: 1 };
  const width = whole.length;
  // Most cells of a prompt are empty: only the others are added up, thousands of times.
  const filled = clusters.map((table) => [...table.flat().entries()].filter(([, count]) => count !== 0));
  const random = createRandom(seed);
  const draws: number[] = [];
  for (let draw = 0; draw < DRAWS; draw++) {
    const sums = new Array<number>(width * width).fill(0);
    for (let i = 0; i < filled.length; i++)
      for (const [cell, count] of filled[Math.floor(random() * filled.length)] ?? [])
        sums[cell] = (sums[cell] as number) + count;
    const value = figure(whole.map((_, row) => sums.slice(row * width, (row + 1) * width)));
    if (value !== null) draws.push(value);
  }
  draws.sort((a, b) => a - b);
  return {
    low: draws[Math.floor(0.025 * draws.length)] ?? -1,
    high: draws[Math.ceil(0.975 * draws.length) - 1] ?? 1,
  };
}

/** The sum of tables of one shape. */
export function addTables(tables: readonly Confusion[]): Confusion {
  const [first] = tables;
  if (first === undefined) return [];
  const total = first.map((row) => row.map(() => 0));
  for (const table of tables)
    for (const [i, row] of table.entries())
      for (const [j, count] of row.entries()) (total[i] as number[])[j]! += count;
  return total;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

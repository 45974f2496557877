import { createRandom } from '@dmoerm/core';
import { toEstimate, type Estimate } from './interval';
import { macroMean, promptValues, type Panel, type Series, type Side } from './panel';

/** Draws of every bootstrap and sign-flip test. */
export const DRAWS = 10_000;

/** How to resample. */
export interface BootstrapOptions {
  readonly draws: number;
  readonly seed: number;
}

/** A series' mean over all categories and in each. */
export interface SeriesEstimate {
  readonly overall: Estimate;
  /** In the order of the panel's categories. */
  readonly byCategory: readonly Estimate[];
}

/**
 * Paired bootstrap (Efron & Tibshirani 1993): in every draw the seeds of each arm are resampled first, then the prompts within each
 * category, the same ones for all series; all pairs of a drawn prompt come along, as they are not independent. Each category and each
 * group of seeds has a stream of its own: what is drawn there does not depend on what else is compared. Deterministic.
 */
export function bootstrap(
  panel: Panel,
  series: readonly Series[],
  { draws, seed }: BootstrapOptions,
): SeriesEstimate[] {
  const categoryCount = panel.categories.length;
  const drawn = series.map(() => Array.from({ length: categoryCount + 1 }, () => new Float64Array(draws)));
  const streams = panel.categories.map((category) => createRandom(seed + hash(category)));
  const resampleSeeds = createSeedSampler(series, seed);
  const picked = panel.members.map((own) => new Int32Array(own.length));
  for (let draw = 0; draw < draws; draw++) {
    panel.members.forEach((own, c) => {
      const into = picked[c] as Int32Array;
      const prompts = streams[c] as () => number;
      for (let i = 0; i < own.length; i++) into[i] = own[(prompts() * own.length) | 0] as number;
    });
    const seeds = resampleSeeds();
    series.forEach(({ plus, minus }, s) => {
      const rows = drawn[s] as Float64Array[];
      let total = 0;
      picked.forEach((own, c) => {
        const value =
          sideMean(plus, own, seeds.get(plus.group)) -
          (minus === null ? 0 : sideMean(minus, own, seeds.get(minus.group)));
        (rows[c + 1] as Float64Array)[draw] = value;
        total += value;
      });
      (rows[0] as Float64Array)[draw] = total / categoryCount;
    });
  }
  return series.map((one, s) => {
    const { overall, byCategory } = macroMean(panel, promptValues(one));
    const [all, ...rest] = drawn[s] as [Float64Array, ...Float64Array[]];
    return {
      overall: toEstimate(overall, panel.promptCount === 0 ? new Float64Array() : all),
      byCategory: rest.map((own, c) => toEstimate(byCategory[c] ?? NaN, own)),
    };
  });
}

/** Mean over the drawn prompts and seeds; an arm with one seed has nothing to resample there. */
function sideMean({ seeds }: Side, prompts: Int32Array, drawnSeeds: Int32Array | undefined): number {
  let sum = 0;
  if (drawnSeeds === undefined) {
    const values = seeds[0] as Float64Array;
    for (let i = 0; i < prompts.length; i++) sum += values[prompts[i] as number] as number;
    return sum / prompts.length;
  }
  for (const one of drawnSeeds) {
    const values = seeds[one] as Float64Array;
    for (let i = 0; i < prompts.length; i++) sum += values[prompts[i] as number] as number;
  }
  return sum / (prompts.length * drawnSeeds.length);
}

/** Draws the seeds of each group, with replacement. */
function createSeedSampler(series: readonly Series[], seed: number): () => ReadonlyMap<string, Int32Array> {
  const counts = new Map<string, number>();
  for (const { plus, minus } of series)
    for (const side of minus === null ? [plus] : [plus, minus])
      if (side.seeds.length > 1) counts.set(side.group, side.seeds.length);
  const samplers = [...counts].map(([group, count]) => ({
    group,
    into: new Int32Array(count),
    random: createRandom(seed + hash(`seeds of ${group}`)),
  }));
  const result = new Map(samplers.map(({ group, into }) => [group, into]));
  return () => {
    for (const { into, random } of samplers)
      for (let i = 0; i < into.length; i++) into[i] = (random() * into.length) | 0;
    return result;
  };
}

/** FNV-1a: keeps streams of other names apart. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  return state >>> 0;
}

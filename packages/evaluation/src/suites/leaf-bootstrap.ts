import { createRandom } from '@dmoerm/core';
import type { BootstrapOptions } from '../statistics/bootstrap';
import { toEstimate, type Estimate } from '../statistics/interval';
import type { Leaf } from './suite';

/** An arm's leaves per seed, [S][leaves]; all arms have the same leaves of the same sizes. */
export interface LeafArm {
  readonly group: string;
  readonly seeds: readonly (readonly Leaf[])[];
}

/** An arm's figures. */
export interface LeafEstimates {
  readonly overall: Estimate;
  readonly leaves: readonly Estimate[];
  /** Overall, minus that of the first arm. */
  readonly difference: Estimate;
}

/**
 * Paired bootstrap over the clusters of each leaf and over seeds, the same draws for all arms. The overall figure is the weighted
 * mean of the leaves.
 */
export function leafBootstrap(arms: readonly LeafArm[], { draws, seed }: BootstrapOptions): LeafEstimates[] {
  const leaves = arms[0]?.seeds[0] ?? [];
  const random = createRandom(seed);
  const groups = [...new Set(arms.map(({ group }) => group))].sort();
  const randomSeeds = new Map(groups.map((group, g) => [group, createRandom(seed + g + 1)]));
  const picked = leaves.map(({ size }) => new Int32Array(size));
  const drawn = arms.map(() => ({
    overall: new Float64Array(draws),
    leaves: leaves.map(() => new Float64Array(draws)),
    difference: new Float64Array(draws),
  }));
  for (let draw = 0; draw < draws; draw++) {
    for (const own of picked) for (let i = 0; i < own.length; i++) own[i] = (random() * own.length) | 0;
    const seedsOf = new Map<string, number[]>();
    arms.forEach((arm, a) => {
      const into = drawn[a];
      if (into === undefined) return;
      const seeds = seedsOf.get(arm.group) ?? drawSeeds(arm.seeds.length, randomSeeds.get(arm.group));
      seedsOf.set(arm.group, seeds);
      const values = leafValues(arm, seeds, picked);
      values.forEach((value, l) => void ((into.leaves[l] as Float64Array)[draw] = value));
      const overall = weighted(leaves, values);
      into.overall[draw] = overall;
      into.difference[draw] = overall - (drawn[0]?.overall[draw] ?? NaN);
    });
  }
  const whole = leaves.map(({ size }) => Int32Array.from({ length: size }, (_, i) => i));
  const points = arms.map((arm) => leafValues(arm, [...arm.seeds.keys()], whole));
  return drawn.map((own, a) => {
    const values = points[a] ?? [];
    const overall = weighted(leaves, values);
    return {
      overall: toEstimate(overall, own.overall),
      leaves: own.leaves.map((all, l) => toEstimate(values[l] ?? NaN, all)),
      difference: toEstimate(overall - weighted(leaves, points[0] ?? []), own.difference),
    };
  });
}

function drawSeeds(count: number, random: (() => number) | undefined): number[] {
  return Array.from({ length: count }, () => (random === undefined ? 0 : Math.floor(random() * count)));
}

function leafValues(arm: LeafArm, seeds: readonly number[], clusters: readonly Int32Array[]): number[] {
  return clusters.map(
    (own, l) => seeds.reduce((sum, s) => sum + (arm.seeds[s]?.[l]?.statistic(own) ?? NaN), 0) / seeds.length,
  );
}

function weighted(leaves: readonly Leaf[], values: readonly number[]): number {
  return leaves.reduce((sum, { weight }, l) => sum + weight * (values[l] ?? NaN), 0);
}

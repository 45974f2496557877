import type { Bundle } from '@dmoerm/bundle';
import type { Pair, Split } from '@dmoerm/dataset';
import type { OnProgress, ScorerOptions } from '../scoring/scorer';
import { DRAWS } from '../statistics/bootstrap';
import { PLANNED_DEVIATION, plannedDifference } from '../statistics/detectable';
import { longerWins, type Arm } from './arm';
import { armRecord, type ArmRecord } from './arm-record';
import { judgeBundle, pairsDigest, type BundleJudgements } from './bundle-judgements';
import { capabilityFigures, type CapabilityFigure } from './capabilities';
import { accuracyOf, differenceOf, toPlainFigure, type Difference, type Figure } from './figures';
import type { FigureOptions } from './figures';
import { groupPairs } from './groups';
import { selectPairs, type PairData } from './pair-data';
import { routerReport, type RouterReport } from './router-report';
import { VARIANTS, type Variant, type VariantOptions } from './variants';

/** Bundles that differ in their training seed only; one makes an arm too. */
export interface ArmBundles {
  readonly name: string;
  readonly bundles: readonly Bundle[];
}

/** How to evaluate pairs. */
export interface PairOptions extends ScorerOptions, VariantOptions {
  readonly split: Split;
  /** Most prompts per source, task and capability; null: all. */
  readonly limit: number | null;
  /** Most prompts per source and task of the valid split to fit temperatures on that bundles do not carry; 0: none. */
  readonly validLimit: number;
  /** Of bootstrap and sign-flip; default 10,000. */
  readonly draws?: number;
  readonly onProgress?: (arm: string, ...progress: Parameters<OnProgress>) => void;
}

/** The result; nothing in it depends on when, where or how fast it was found. Shares in [0, 1]. */
export interface PairReport {
  readonly evaluation: 1;
  readonly suite: 'pairs';
  readonly provenance: Readonly<Record<string, unknown>>;
  readonly coverage: {
    readonly pairs: number;
    readonly first_turn_in_train: number;
    readonly capability_pairs: number;
    /** Left out. */
    readonly ties: number;
  };
  /** Stated beforehand: from the prompts alone. */
  readonly planned: { readonly detectable_difference: number; readonly assumed_deviation: number };
  readonly arms: readonly ArmRecord[];
  /** To the first arm. */
  readonly differences: readonly (Difference & { readonly arm: string; readonly reference: string })[];
  readonly first_turn_in_train: readonly (Figure & { readonly arm: string })[];
  readonly capabilities: readonly CapabilityFigure[];
  readonly router: readonly RouterReport[];
}

/** Evaluates arms on pairs (recipe, section 5). The first arm is what the others are compared with. */
export async function evaluatePairs(
  arms: readonly ArmBundles[],
  data: PairData,
  options: PairOptions,
): Promise<PairReport> {
  const { split, limit, validLimit, seed, lambda, truncation, draws = DRAWS } = options;
  const pairs = selectPairs(data, { split, limit });
  const valid = validLimit === 0 ? [] : selectPairs(data, { split: 'valid', limit: validLimit }).main;
  const routes = data.routes.filter((row) => row.split === split);
  const judged: { name: string; own: BundleJudgements[] }[] = [];
  for (const { name, bundles } of arms) {
    const own: BundleJudgements[] = [];
    for (const bundle of bundles)
      own.push(
        await judgeBundle(bundle, { pairs, valid, routes }, options, (...progress) =>
          options.onProgress?.(name, ...progress),
        ),
      );
    judged.push({ name, own });
  }
  const on = (rows: readonly Pair[]): FigureOptions => ({
    pairs: rows,
    categoryOf: ({ task }) => task,
    bootstrap: { draws, seed },
  });
  const made = judged.flatMap(({ name, own }) =>
    VARIANTS.map((variant) => ({ variant, own, arm: toArm(name, variant, own, 'main') })),
  );
  const trivial = longerWins(pairs.main);
  const [first] = made;
  const reference = first?.arm ?? trivial;
  const panel = groupPairs(pairs.main, (i) => pairs.main[i]?.task ?? '').panel;
  return {
    evaluation: 1,
    suite: 'pairs',
    provenance: {
      data: data.digests,
      pairs: pairsDigest(pairs.main),
      split,
      limit,
      valid_limit: validLimit,
      seed,
      draws,
      lambda,
      truncation,
    },
    coverage: {
      pairs: pairs.main.length,
      first_turn_in_train: pairs.seen.length,
      capability_pairs: pairs.capability.length,
      ties: pairs.ties,
    },
    planned: { detectable_difference: plannedDifference(panel), assumed_deviation: PLANNED_DEVIATION },
    arms: [
      ...made.map(({ arm, variant, own }) => armRecord(arm, on(pairs.main), { variant, bundles: own })),
      armRecord(trivial, on(pairs.main), null),
    ],
    differences: [...made.slice(1).map(({ arm }) => arm), trivial].map((arm) => ({
      arm: arm.name,
      reference: reference.name,
      ...differenceOf(arm, reference, on(pairs.main)),
    })),
    first_turn_in_train: [
      ...judged.map(({ name, own }) => toArm(name, 'routed', own, 'seen')),
      longerWins(pairs.seen),
    ].map((arm) => ({ arm: arm.name, ...toPlainFigure(accuracyOf(arm, on(pairs.seen))) })),
    capabilities: judged.flatMap(({ name, own }) =>
      capabilityFigures(
        { name, group: name, seeds: own.map(({ capability }) => capability) },
        on(pairs.capability),
      ),
    ),
    router: judged.flatMap(({ name, own }) => reportRouters(name, own)),
  };
}

function toArm(name: string, variant: Variant, own: readonly BundleJudgements[], list: 'main' | 'seen'): Arm {
  return {
    name: variant === 'routed' ? name : `${name}/${variant}`,
    group: name,
    seeds: own.map((one) => one[list][variant]),
  };
}

/** Of the first seed: seeds of one arm mostly share their router. */
function reportRouters(name: string, own: readonly BundleJudgements[]): RouterReport[] {
  const [first] = own;
  if (first === undefined) return [];
  const { routedPairs, routedRoutes, bundle } = first;
  return [
    routerReport(name, 'pairs', routedPairs, bundle.taskNames),
    ...(routedRoutes.length > 0 ? [routerReport(name, 'routes', routedRoutes, bundle.taskNames)] : []),
  ];
}

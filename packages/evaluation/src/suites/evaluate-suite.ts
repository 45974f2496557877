import type { ArmBundles } from '../pairs/evaluate-pairs';
import { LONGER_WINS } from '../pairs/arm';
import type { VariantOptions } from '../pairs/variants';
import type { OnProgress, ScorerOptions } from '../scoring/scorer';
import { DRAWS } from '../statistics/bootstrap';
import type { Estimate } from '../statistics/interval';
import { judgeSuite, SUITE_VARIANTS, type ItemRewards, type SuiteJudgements } from './judge-suite';
import { leafBootstrap, type LeafEstimates } from './leaf-bootstrap';
import type { Suite, SuiteMeasure } from './suite';

/** How to evaluate a suite. */
export interface SuiteOptions extends ScorerOptions, VariantOptions {
  readonly draws?: number;
  readonly onProgress?: (arm: string, ...progress: Parameters<OnProgress>) => void;
}

/** A figure with its 95 % interval, in [0, 1]. */
interface SuiteFigure {
  readonly value: number;
  readonly interval: readonly [number, number];
}

/** An arm of the report. */
export interface SuiteArm {
  readonly arm: string;
  readonly seeds: number;
  readonly revisions: readonly string[];
  readonly bases: readonly string[];
  readonly engines: readonly SuiteJudgements['engine'][];
  readonly overall: SuiteFigure;
  /** The parts that make the overall figure. */
  readonly parts: Readonly<Record<string, SuiteFigure>>;
  /** Figures that the suite reports besides. */
  readonly details: Readonly<Record<string, number>>;
  /** Overall minus that of the first arm. */
  readonly difference: SuiteFigure;
  /** Items without all rewards, by reason. */
  readonly failures: Readonly<Record<string, number>>;
}

/** The result of a public suite. */
export interface SuiteReport {
  readonly evaluation: 1;
  readonly suite: string;
  readonly provenance: Readonly<Record<string, unknown>>;
  /** Items that figures are about: all arms have all rewards of them. The others are in no figure, as they have no score. */
  readonly coverage: {
    readonly items: number;
    readonly judged: number;
    readonly left_out: Readonly<Record<string, number>>;
  };
  readonly arms: readonly SuiteArm[];
}

interface JudgedArm {
  readonly name: string;
  readonly group: string;
  readonly seeds: readonly (readonly ItemRewards[])[];
  readonly own: readonly SuiteJudgements[];
}

/** Evaluates arms on a public suite by its own rules; the first arm is what the others are compared with. */
export async function evaluateSuite(
  arms: readonly ArmBundles[],
  suite: Suite,
  options: SuiteOptions,
): Promise<SuiteReport> {
  const { seed, lambda, truncation, draws = DRAWS } = options;
  const judged: JudgedArm[] = [];
  for (const { name, bundles } of arms) {
    const own: SuiteJudgements[] = [];
    for (const bundle of bundles)
      own.push(
        await judgeSuite(bundle, suite.items, options, (...progress) =>
          options.onProgress?.(name, ...progress),
        ),
      );
    for (const variant of SUITE_VARIANTS)
      judged.push({
        name: variant === 'routed' ? name : `${name}/${variant}`,
        group: name,
        seeds: own.map(({ items }) => items[variant]),
        own,
      });
  }
  judged.push({ name: LONGER_WINS, group: LONGER_WINS, seeds: [lengths(suite)], own: [] });
  const complete = suite.items.map((_, i) =>
    judged.every(({ seeds }) => seeds.every((own) => own[i] !== undefined && 'rewards' in own[i])),
  );
  const measures = judged.map(({ seeds }) => seeds.map((own) => measure(suite, own, complete)));
  const estimates = leafBootstrap(
    judged.map(({ group }, a) => ({ group, seeds: (measures[a] ?? []).map(({ leaves }) => leaves) })),
    { draws, seed },
  );
  return {
    evaluation: 1,
    suite: suite.name,
    provenance: { data: suite.digests, seed, draws, lambda, truncation },
    coverage: {
      items: suite.items.length,
      judged: complete.filter(Boolean).length,
      left_out: suite.leftOut,
    },
    arms: judged.map((arm, a) => toRecord(arm, measures[a] ?? [], estimates[a])),
  };
}

function lengths({ items }: Suite): ItemRewards[] {
  return items.map(({ responses }) => ({ rewards: responses.map((text) => text.length) }));
}

function measure(suite: Suite, own: readonly ItemRewards[], complete: readonly boolean[]): SuiteMeasure {
  return suite.measure(own.map((one, i) => (complete[i] && 'rewards' in one ? one.rewards : null)));
}

function toRecord(
  { name, seeds, own }: JudgedArm,
  measures: readonly SuiteMeasure[],
  estimates: LeafEstimates | undefined,
): SuiteArm {
  const [first] = measures;
  if (first === undefined || estimates === undefined) throw new Error('an arm without seeds');
  const failures: Record<string, number> = {};
  for (const one of seeds[0] ?? [])
    if ('failure' in one) failures[one.failure] = (failures[one.failure] ?? 0) + 1;
  const meanOf = (detail: string): number =>
    measures.reduce((sum, { details }) => sum + (details[detail] ?? NaN), 0) / measures.length;
  return {
    arm: name,
    seeds: seeds.length,
    revisions: own.map(({ bundle }) => bundle.revision),
    bases: own.map(({ bundle }) => bundle.baseDigest),
    engines: own.map(({ engine }) => engine),
    overall: toFigure(estimates.overall),
    parts: Object.fromEntries(
      first.leaves.map(({ name: leaf }, l) => [leaf, toFigure(estimates.leaves[l] as Estimate)]),
    ),
    details: Object.fromEntries(Object.keys(first.details).map((detail) => [detail, meanOf(detail)])),
    difference: toFigure(estimates.difference),
    failures,
  };
}

function toFigure({ value, low, high }: Estimate): SuiteFigure {
  return { value, interval: [low, high] };
}

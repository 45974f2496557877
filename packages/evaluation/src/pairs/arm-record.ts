import { calibrateArm, fitTemperatures, type ArmCalibration } from '../calibration/arm-calibration';
import { countFailures, covers, LONGER_WINS, type Arm } from './arm';
import type { BundleJudgements } from './bundle-judgements';
import { accuracyOf, type Accuracy, type Figure, type FigureOptions } from './figures';
import { lengthReport, type LengthReport } from './length';
import type { Variant } from './variants';

/** An arm of the report. */
export interface ArmRecord {
  readonly arm: string;
  readonly variant: Variant | typeof LONGER_WINS;
  /** Number of bundles; intervals hold their spread if there are several. */
  readonly seeds: number;
  readonly revisions: readonly string[];
  /** Digests of the bases. */
  readonly bases: readonly string[];
  readonly engines: readonly { readonly weights: string; readonly isa: string }[];
  readonly pairs: number;
  readonly prompts: number;
  /** Mean within prompts, then over prompts, then over tasks. */
  readonly accuracy: number | null;
  readonly interval: Figure['interval'];
  readonly standard_error: number | null;
  readonly per_task: Accuracy['categories'];
  readonly per_source: Accuracy['categories'];
  /** Pairs that were not judged, by reason; none of them counts in a figure. */
  readonly failures: Readonly<Record<string, number>>;
  /** Judged pairs with an exact tie of rewards, which counts half. */
  readonly reward_ties: number;
  /** Judged pairs whose conversation lost turns to fit. */
  readonly truncated: number;
  /** Judged pairs of tasks without a learned aggregator: their reward is the mean of the scores, as the mesh answers. */
  readonly degraded: number;
  readonly calibration: ArmCalibration | null;
  /** Null for baselines that are made of the same bundle. */
  readonly length: LengthReport | null;
}

/** Where an arm's judgements are from; null for a baseline without bundle. */
export interface ArmOrigin {
  readonly variant: Variant;
  /** One per seed. */
  readonly bundles: readonly BundleJudgements[];
}

/** Variants whose reward is the learned one, which a bundle's temperatures are for. */
const LEARNED: readonly Variant[] = ['routed', 'oracle', 'random_routing'];

/** All figures of one arm. */
export function armRecord(arm: Arm, options: FigureOptions, origin: ArmOrigin | null): ArmRecord {
  const { pairs } = options;
  const byTask = accuracyOf(arm, options);
  const bySource = accuracyOf(arm, { ...options, categoryOf: ({ source }) => source });
  const judged = [...pairs.keys()].filter((pair) => covers(arm, pair));
  const count = (test: (judgement: Arm['seeds'][number][number]) => boolean): number =>
    judged.filter((pair) => arm.seeds.some((own) => own[pair] !== undefined && test(own[pair]))).length;
  const bundles = origin?.bundles ?? [];
  const hasLength = origin === null || origin.variant === 'routed' || origin.variant === 'oracle';
  return {
    arm: arm.name,
    variant: origin?.variant ?? LONGER_WINS,
    seeds: arm.seeds.length,
    revisions: bundles.map(({ bundle }) => bundle.revision),
    bases: bundles.map(({ bundle }) => bundle.baseDigest),
    engines: bundles.map(({ engine }) => engine),
    pairs: byTask.pairs,
    prompts: byTask.prompts,
    accuracy: byTask.value,
    interval: byTask.interval,
    standard_error: byTask.standard_error,
    per_task: byTask.categories,
    per_source: bySource.categories,
    failures: countFailures(arm, pairs.keys()),
    reward_ties: count(({ margin }) => margin === 0),
    truncated: count(({ truncated }) => truncated),
    degraded: count(({ degraded }) => degraded),
    calibration: origin === null ? null : calibrationOf(arm, origin),
    length: hasLength ? lengthReport(arm, options) : null,
  };
}

function calibrationOf(arm: Arm, { variant, bundles }: ArmOrigin): ArmCalibration | null {
  const [first] = bundles;
  const own = arm.seeds[0] ?? [];
  if (first === undefined) return null;
  if (LEARNED.includes(variant)) return calibrateArm(own, first.temperatures, 'bundle');
  return calibrateArm(own, fitTemperatures(first.valid[variant], first.bundle.taskNames), 'fitted');
}

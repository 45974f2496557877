import { differenceOf, type Difference } from '../bon/figures';
import { curveFigures, fitLearningCurve } from '../statistics/curve';
import { resample, type Interval } from '../statistics/resample';
import { mean } from '../rules';
import type { RlPoint } from './learn-run';

/** An arm's measurements, a run per seed. */
export interface RlRuns {
  readonly arm: string;
  readonly beta: number;
  readonly runs: readonly (readonly RlPoint[])[];
}

/** An arm's curve over the steps, seeds averaged, and what it says. */
export interface RlFigures {
  readonly arm: string;
  readonly beta: number;
  readonly seeds: number;
  /** Gold in standard deviations above the policy's mean. */
  readonly curve: readonly (Interval & {
    readonly step: number;
    readonly kl: number;
    readonly proxy: number;
    readonly words: number;
  })[];
  readonly final: Interval;
  readonly best: Interval;
  readonly drop: Interval;
  readonly late: Interval;
  readonly area: Interval;
  /** Of R(d) = d (alpha - beta ln d); null where the curve does not turn. */
  readonly peak: number | null;
  /** To the single model at the same beta. */
  readonly minus_single: Difference | null;
}

/** Figures of all arms. @param strata task of each test prompt */
export function rlFigures(arms: readonly RlRuns[], strata: readonly string[], draws: number): RlFigures[] {
  const options = { draws, seed: 1 };
  const rowsOf = ({ runs }: RlRuns): number[][] =>
    strata.map((_, p) =>
      (runs[0] ?? []).map((_, i) => mean(runs.map((points) => points[i]?.gold[p] ?? NaN))),
    );
  const singles = new Map(arms.filter(({ arm }) => arm === 'single').map((one) => [one.beta, rowsOf(one)]));
  return arms.map((one) => {
    const rows = rowsOf(one);
    const at = (i: number, of: (point: RlPoint) => number): number =>
      mean(one.runs.map((points) => of(points[i] as RlPoint)));
    const steps = (one.runs[0] ?? []).map(({ step }) => step);
    const points = resample(
      rows,
      strata,
      (row) => Object.fromEntries(row.map((value, i) => [i, value])) as Record<string, number>,
      options,
    );
    const own = resample(rows, strata, (row) => ({ ...curveFigures(steps, row) }), options);
    const curve = steps.map((step, i) => ({
      step,
      kl: at(i, ({ kl }) => kl),
      proxy: at(i, ({ proxy }) => proxy),
      words: at(i, ({ words }) => words),
      ...(points[i] as Interval),
    }));
    const away = curve.filter(({ kl }) => kl > 0.01);
    const start = curve[0]?.value ?? 0;
    const { peak } = fitLearningCurve(
      away.map(({ kl }) => Math.sqrt(kl)),
      away.map(({ value }) => value - start),
    );
    const other = one.arm === 'single' ? undefined : singles.get(one.beta);
    return {
      arm: one.arm,
      beta: one.beta,
      seeds: one.runs.length,
      curve,
      ...own,
      peak: Number.isFinite(peak) ? peak : null,
      minus_single: other === undefined ? null : differenceOf(rows, other, steps, strata, options),
    };
  });
}

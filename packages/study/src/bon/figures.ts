import { bestOfN, bestOfNKl } from '../statistics/best-of-n';
import { curveFigures, fitCurve } from '../statistics/curve';
import { resample, type Interval } from '../statistics/resample';
import { ENSEMBLE, MIXTURE, SINGLE, type BonArm, type Scores } from './arms';

/** An arm's curve and what it says. */
export interface BonFigures {
  readonly arm: string;
  readonly noise: number;
  readonly seeds: number;
  readonly passes: number;
  /** Gold of the chosen response, in standard deviations above the policy's mean, by n. */
  readonly curve: readonly (Interval & { readonly n: number; readonly kl: number; readonly proxy: number })[];
  readonly final: Interval;
  readonly best: Interval;
  readonly drop: Interval;
  readonly late: Interval;
  readonly area: Interval;
  readonly alpha: Interval;
  readonly beta: Interval;
  /** d = sqrt(KL) of the fitted curve's peak; null where it does not turn. */
  readonly peak: {
    readonly value: number | null;
    readonly interval: readonly [number | null, number | null];
  };
  /** Of the curve fitted without the largest n, at that n. */
  readonly held_out_error: number;
  /** Null for the arm itself. */
  readonly minus_single: Difference | null;
  readonly minus_ensemble: Difference | null;
  /** To the mixture's learned aggregator. */
  readonly minus_mixture: Difference | null;
}

/** Paired, over the same prompts. */
export interface Difference {
  readonly final: Interval;
  readonly drop: Interval;
  readonly late: Interval;
  /**
   * `final` and `late` both exclude 0 to its favour. Not `drop`: where the other's drop is 0 in some draws, no difference to it can exclude 0.
   */
  readonly wins: boolean;
}

/** What arms are judged on. */
export interface BonEvidence {
  readonly noise: number;
  readonly gold: Scores;
  /** Distinct numbers that break ties, [prompts][N]. */
  readonly ties: Scores;
  /** Task of each prompt. */
  readonly strata: readonly string[];
  readonly draws: number;
}

/** n of the curve: powers of two up to N. */
export function sizesOf(samples: number): number[] {
  return Array.from({ length: Math.floor(Math.log2(samples)) + 1 }, (_, i) => 2 ** i);
}

/** Figures of all arms of one noise. */
export function figuresOf(arms: readonly BonArm[], evidence: BonEvidence): BonFigures[] {
  const { gold, strata, draws } = evidence;
  const sizes = sizesOf(gold[0]?.length ?? 1);
  const curves = new Map(arms.map((arm) => [arm.name, curveOf(arm, gold, evidence, sizes)]));
  const d = sizes.map((n) => Math.sqrt(bestOfNKl(n)));
  const options = { draws, seed: 1 };
  const read = (mean: readonly number[]) => {
    const { alpha, beta, peak } = fitCurve(d.slice(1), mean.slice(1));
    return { ...curveFigures(d, mean), alpha, beta, peak };
  };
  return arms.map((arm) => {
    const rows = curves.get(arm.name) ?? [];
    const points = resample(
      rows,
      strata,
      (mean) => Object.fromEntries(mean.map((value, i) => [i, value])) as Record<string, number>,
      options,
    );
    const { peak, ...own } = resample(rows, strata, read, options);
    const mean = sizes.map((_, i) => points[i]?.value ?? NaN);
    const fitted = fitCurve(d.slice(1, -1), mean.slice(1, -1));
    const last = d.at(-1) ?? 0;
    const proxy = meanOf(curveOf(arm, null, evidence, sizes));
    const minus = (name: string): Difference | null => {
      const other = curves.get(name);
      if (name === arm.name || other === undefined) return null;
      return differenceOf(rows, other, d, strata, options);
    };
    return {
      arm: arm.name,
      noise: evidence.noise,
      seeds: arm.seeds.length,
      passes: arm.passes,
      curve: sizes.map((n, i) => ({
        n,
        kl: bestOfNKl(n),
        proxy: proxy[i] ?? NaN,
        ...(points[i] as Interval),
      })),
      ...own,
      peak: {
        value: finite(peak.value),
        interval: [finite(peak.interval[0]), finite(peak.interval[1])],
      },
      held_out_error: last * (fitted.alpha - fitted.beta * last) - (mean.at(-1) ?? NaN),
      minus_single: minus(SINGLE),
      minus_ensemble: minus(ENSEMBLE),
      minus_mixture: minus(MIXTURE),
    };
  });
}

/** What one arm's curves have over another's, paired by prompt. @param rows [prompts][points], as `other` */
export function differenceOf(
  rows: readonly (readonly number[])[],
  other: readonly (readonly number[])[],
  d: readonly number[],
  strata: readonly string[],
  options: { readonly draws: number; readonly seed: number },
): Difference {
  const joined = rows.map((row, p) => [...row, ...(other[p] ?? [])]);
  const { final, drop, late } = resample(
    joined,
    strata,
    (both) => {
      const [a, b] = [curveFigures(d, both.slice(0, d.length)), curveFigures(d, both.slice(d.length))];
      return { final: a.final - b.final, drop: a.drop - b.drop, late: a.late - b.late };
    },
    options,
  );
  return { final, drop, late, wins: final.interval[0] > 0 && late.interval[0] > 0 };
}

/** By prompt: the values at each n, seeds averaged; of the proxy itself if `values` is null. */
export function curveOf(
  { seeds }: Pick<BonArm, 'seeds'>,
  values: Scores | null,
  { ties }: Pick<BonEvidence, 'ties'>,
  sizes: readonly number[],
): number[][] {
  return ties.map((tie, p) => {
    const own = seeds.map((scores) => bestOfN(scores[p] ?? [], (values ?? scores)[p] ?? [], tie, sizes));
    return sizes.map((_, i) => own.reduce((sum, row) => sum + (row[i] ?? NaN), 0) / own.length);
  });
}

/** Column means. */
export function meanOf(rows: readonly (readonly number[])[]): number[] {
  return (rows[0] ?? []).map((_, i) => rows.reduce((sum, row) => sum + (row[i] ?? NaN), 0) / rows.length);
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

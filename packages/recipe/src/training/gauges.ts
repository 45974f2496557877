import { performance } from 'node:perf_hooks';
import { metrics } from '@dmoerm/telemetry';
import type { Metric } from './metrics';

/** Shows a step or an evaluation on the process's Prometheus page. */
export function showMetric(metric: Metric): void {
  const { unit } = metric;
  if (metric.type === 'step') {
    metrics.trainingStep.set({ unit }, metric.step);
    metrics.trainingExamples.inc({ unit }, metric.examples);
    metrics.trainingLoss.set({ unit }, metric.loss);
    metrics.trainingGradientNorm.set({ unit }, metric.gradient_norm);
    metrics.trainingLearningRate.set({ unit }, metric.learning_rate);
    return;
  }
  metrics.trainingValidationLoss.set({ unit }, metric.loss);
  // A language model has none.
  if (Number.isFinite(metric.accuracy)) metrics.trainingValidationAccuracy.set({ unit }, metric.accuracy);
}

/** Shows how much of a unit is done and how long the rest takes. */
export function showProgress(unit: string, { ratio, remainingS }: Progress): void {
  metrics.trainingProgressRatio.set({ unit }, ratio);
  metrics.trainingRemainingSeconds.set({ unit }, remainingS);
}

/** How far something is. */
export interface Progress {
  /** 0 to 1. */
  readonly ratio: number;
  readonly remainingS: number;
}

/** The end. */
export const DONE: Progress = { ratio: 1, remainingS: 0 };

/** Tells the time that is left from what this process has done itself: what an earlier one did took it no time. */
export class Pace {
  private began: { readonly done: number; readonly at: number } | null = null;

  constructor(
    private readonly total: number,
    private readonly now = () => performance.now() / 1e3,
  ) {}

  /** Says before each piece of work how much is done; the first one starts the clock. */
  begin(done: number): void {
    this.began ??= { done, at: this.now() };
  }

  /** Says how far it is when `done` is done. */
  at(done: number): Progress {
    const { began, total } = this;
    if (began === null || done <= began.done) return { ratio: done / total, remainingS: NaN };
    const perUnit = (this.now() - began.at) / (done - began.done);
    return { ratio: done / total, remainingS: perUnit * (total - done) };
  }
}

import type { Schedule } from './recipe';

/** Learning rate of a step (from 1) of `total`: linear warm-up, then a cosine to a tenth. */
export function learningRate(schedule: Schedule, step: number, total: number): number {
  const warm = Math.max(1, Math.round(schedule.warmup * total));
  if (step <= warm) return (schedule.learning_rate * step) / warm;
  const progress = Math.min(1, (step - warm) / Math.max(1, total - warm));
  return schedule.learning_rate * (0.1 + 0.45 * (1 + Math.cos(Math.PI * progress)));
}

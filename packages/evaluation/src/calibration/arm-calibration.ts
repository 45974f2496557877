import { groupBy } from '@dmoerm/core';
import type { Bundle } from '@dmoerm/bundle';
import type { Judgement } from '../pairs/judge';
import { calibrate, type Calibration } from './margins';
import { fitTemperature } from './temperature';

/** Calibration of an arm, of its first seed. */
export interface ArmCalibration extends Calibration {
  /** `bundle`: what training found on its validation pairs; `fitted`: on the valid split of this data. */
  readonly temperature_source: 'bundle' | 'fitted';
  /** By the task that scored. */
  readonly temperatures: Readonly<Record<string, number>>;
}

/** Fewer pairs of a task share one temperature with the other such tasks. */
const FEWEST_PAIRS = 30;

/** Temperatures that a bundle carries, for its learned rewards. */
export function bundleTemperatures(bundle: Bundle): Record<string, number> {
  return Object.fromEntries(
    bundle.taskNames.map((task) => [task, bundle.task(task).calibration.temperature]),
  );
}

/** Temperatures by scoring task that fit judgements best; tasks with few pairs share one. */
export function fitTemperatures(
  judgements: readonly Judgement[],
  taskNames: readonly string[],
): Record<string, number> {
  const judged = judgements.filter(({ failure }) => failure === null);
  if (judged.length === 0) return {};
  const byTask = groupBy(judged, ({ task }) => task ?? '');
  const few = [...byTask.values()].filter(({ length }) => length < FEWEST_PAIRS).flat();
  const shared = fitTemperature((few.length < FEWEST_PAIRS ? judged : few).map(({ margin }) => margin));
  return Object.fromEntries(
    taskNames.map((task) => {
      const own = byTask.get(task) ?? [];
      return [task, own.length < FEWEST_PAIRS ? shared : fitTemperature(own.map(({ margin }) => margin))];
    }),
  );
}

/** Calibration of judgements with temperatures by scoring task; null without any. */
export function calibrateArm(
  judgements: readonly Judgement[],
  temperatures: Readonly<Record<string, number>>,
  source: ArmCalibration['temperature_source'],
): ArmCalibration | null {
  const scaled = judgements.flatMap(({ margin, task, failure }) => {
    const temperature = temperatures[task ?? ''];
    return failure === null && temperature !== undefined ? [margin / temperature] : [];
  });
  if (scaled.length === 0) return null;
  return { ...calibrate(scaled), temperature_source: source, temperatures };
}

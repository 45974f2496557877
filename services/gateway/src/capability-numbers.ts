import type { ModelInfo } from '@dmoerm/client';
import type { Rewarded } from './dialect';

/**
 * Every capability of the model as `task/name`, with the same keys in the same order for every score: trainers gather them across
 * samples. Where the score's task does not have one it is 0, and `scored/task/name` says whether it counts. `degraded` comes along.
 */
export function capabilityNumbers(model: ModelInfo, { task, score }: Rewarded): Record<string, number> {
  const own = new Map(score.capabilities.map((one) => [`${task}/${one.name}`, one.score]));
  const keys = model.tasks.flatMap(({ name, capabilities }) => capabilities.map((one) => `${name}/${one}`));
  return {
    ...Object.fromEntries(keys.map((key) => [key, own.get(key) ?? 0])),
    ...Object.fromEntries(keys.map((key) => [`scored/${key}`, Number(own.has(key))])),
    degraded: Number(score.degraded),
  };
}

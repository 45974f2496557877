import { DmoermError } from '@dmoerm/core';

/** How a caller wants tasks to be chosen. */
export type Routing =
  { readonly type: 'top_1' } | { readonly type: 'soft' } | { readonly type: 'forced'; readonly task: string };

/** Routing that asks the classifier. */
export type LearnedRouting = Exclude<Routing, { type: 'forced' }>;

/** A task that scores an item, and the share of its reward. */
export interface Assignment {
  readonly task: string;
  /** In (0, 1]; the weights of an item sum to 1. */
  readonly weight: number;
}

/** One task and its probability. */
export interface TaskProbability {
  readonly task: string;
  readonly probability: number;
}

/** Which tasks score an item. */
export interface Decision {
  /** Most probable first; never empty. */
  readonly assignments: readonly Assignment[];
  /** All tasks, most probable first; equals in the bundle's order. */
  readonly distribution: readonly TaskProbability[];
  /** True if the router was not sure enough and the fallback task was taken. */
  readonly fallback: boolean;
}

/** The task to take when no task reaches the threshold. */
export interface Fallback {
  readonly task: string;
  /** In [0, 1]; 0 never falls back. */
  readonly threshold: number;
}

/** Tasks that share an item with soft routing. */
const SOFT_TASKS = 2;
/** Probabilities are float32: their sum is 1 up to rounding. */
const SUM_TOLERANCE = 1e-3;

/**
 * Chooses the tasks of an item from the classifier's probabilities, one per label. Soft routing shares an item between
 * the two most probable tasks and knows no fallback: it expresses doubt by its weights.
 * @throws DmoermError INTERNAL, reason `NON_FINITE`, if `probabilities` are none.
 */
export function chooseTasks(
  labels: readonly string[],
  probabilities: ArrayLike<number>,
  routing: LearnedRouting,
  fallback: Fallback,
): Decision {
  const distribution = rank(labels, probabilities);
  switch (routing.type) {
    case 'soft': {
      const shared = distribution.slice(0, SOFT_TASKS).filter(({ probability }) => probability > 0);
      const total = shared.reduce((sum, { probability }) => sum + probability, 0);
      const assignments = shared.map(({ task, probability }) => ({ task, weight: probability / total }));
      return { assignments, distribution, fallback: false };
    }
    case 'top_1': {
      const [best] = distribution;
      const sure = best !== undefined && best.probability >= fallback.threshold;
      const task = sure ? best.task : fallback.task;
      return { assignments: [{ task, weight: 1 }], distribution, fallback: !sure };
    }
  }
}

/**
 * The decision of a caller who names the task: no classifier is asked.
 * @throws DmoermError NOT_FOUND, reason `UNKNOWN_TASK`.
 */
export function forceTask(labels: readonly string[], task: string): Decision {
  if (!labels.includes(task))
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'UNKNOWN_TASK',
      field: 'options.task',
      message: `the model has no such task; its tasks are ${labels.join(', ')}`,
    });
  const distribution = rank(
    labels,
    labels.map((label) => (label === task ? 1 : 0)),
  );
  return { assignments: [{ task, weight: 1 }], distribution, fallback: false };
}

function rank(labels: readonly string[], probabilities: ArrayLike<number>): TaskProbability[] {
  const values = Array.from(probabilities);
  const sum = values.reduce((a, b) => a + b, 0);
  const sound = values.length === labels.length && values.every((p) => p >= 0 && p <= 1 + SUM_TOLERANCE);
  if (!sound || Math.abs(sum - 1) > SUM_TOLERANCE)
    throw new DmoermError({
      code: 'INTERNAL',
      reason: 'NON_FINITE',
      message: "the router's classifier gave no probabilities for this conversation; name a task to score it",
    });
  return labels
    .map((task, i) => ({ task, probability: values[i] ?? 0 }))
    .sort((a, b) => b.probability - a.probability);
}

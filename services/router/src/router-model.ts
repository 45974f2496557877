import type { Bundle } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import type { OnnxRunner } from '@dmoerm/onnx';
import { createClassifier } from '@dmoerm/reward';
import type { Classifier, Fallback, ScoreScale } from '@dmoerm/reward';

/** What the router knows of a task. */
export interface TaskModel {
  readonly name: string;
  readonly capabilities: readonly string[];
  /** Per capability. */
  readonly scales: readonly ScoreScale[];
  /** `full`, `top_layers` or `readout`. */
  readonly plan: string;
  /** Whether the bundle has a learned aggregator for it. */
  readonly learned: boolean;
  /** Digest of the task's value heads: an expert that answers with others serves another revision. */
  readonly headsDigest: string;
}

/** What the router needs of a bundle. */
export interface RouterModel extends AsyncDisposable {
  readonly name: string;
  readonly baseDigest: string;
  readonly templateDigest: string;
  /** Most tokens of prompt and candidate. */
  readonly maxTokens: number;
  readonly tasks: readonly TaskModel[];
  /** Tasks in the classifier's order. */
  readonly labels: readonly string[];
  readonly fallback: Fallback;
  readonly classifier: Classifier;
  /** @throws DmoermError NOT_FOUND, reason `UNKNOWN_TASK`. */
  task(name: string): TaskModel;
}

/** Loads the router of a verified bundle. @throws DmoermError DATA_LOSS naming the file. */
export async function loadRouterModel(bundle: Bundle, runner: OnnxRunner): Promise<RouterModel> {
  const { name, max_tokens: maxTokens, router, template, files } = bundle.manifest;
  const tasks = bundle.taskNames.map((taskName): TaskModel => {
    const { capabilities, plan, aggregator, heads } = bundle.task(taskName);
    return {
      name: taskName,
      capabilities: capabilities.map((capability) => capability.name),
      scales: capabilities.map(({ score_mean: mean, score_std: std }) => ({ mean, std })),
      plan: plan.type,
      learned: aggregator !== null,
      headsDigest: files[heads]?.sha256 ?? '',
    };
  });
  const model = await runner.open(bundle.file(router.model));
  return {
    name,
    baseDigest: bundle.baseDigest,
    templateDigest: template.digest,
    maxTokens,
    tasks,
    labels: router.labels,
    fallback: router.fallback,
    classifier: createClassifier(model, router.features),
    task: (wanted) => tasks.find((task) => task.name === wanted) ?? unknownTask(bundle.taskNames),
    [Symbol.asyncDispose]: () => model.close(),
  };
}

function unknownTask(names: readonly string[]): never {
  throw new DmoermError({
    code: 'NOT_FOUND',
    reason: 'UNKNOWN_TASK',
    field: 'options.task',
    message: `the model has no such task; its tasks are ${names.join(', ')}`,
  });
}

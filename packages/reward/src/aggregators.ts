import type { Bundle } from '@dmoerm/bundle';
import { DmoermError, corrupt } from '@dmoerm/core';
import type { OnnxModel, OnnxRunner } from '@dmoerm/onnx';
import { readSafetensors, readTensorF32 } from '@dmoerm/weights';
import type { TaskAggregator } from './aggregator';
import { createHead } from './head';

/** The aggregators of a bundle. */
export interface Aggregators extends AsyncDisposable {
  readonly taskNames: readonly string[];
  /** @throws DmoermError NOT_FOUND, reason `UNKNOWN_TASK`. */
  task(name: string): TaskAggregator;
}

/** Loads the aggregators of a verified bundle. @throws DmoermError DATA_LOSS naming the file. */
export async function loadAggregators(bundle: Bundle, runner: OnnxRunner): Promise<Aggregators> {
  const models: OnnxModel[] = [];
  const tasks = new Map<string, TaskAggregator>();
  for (const name of bundle.taskNames) {
    const { aggregator, heads, capabilities } = bundle.task(name);
    const means = await readMeans(bundle.file(heads), capabilities.length);
    const model = aggregator === null ? null : await runner.open(bundle.file(aggregator));
    if (model !== null) models.push(model);
    const head = model && createHead(model, means, capabilities.length);
    // One run now: a model of another shape must not wait for the first request to be found.
    if (head !== null) await head.rewards([means]).catch((cause: unknown) => reject(aggregator, cause));
    tasks.set(name, {
      capabilities: capabilities.map((capability) => capability.name),
      scales: capabilities.map(({ score_mean: mean, score_std: std }) => ({ mean, std })),
      hiddenSize: means.length / capabilities.length,
      head,
    });
  }
  const taskNames = [...tasks.keys()];
  return {
    taskNames,
    task: (name) => tasks.get(name) ?? unknownTask(taskNames),
    [Symbol.asyncDispose]: async () => {
      for (const model of models) await model.close();
    },
  };
}

/** The experts' mean embeddings [K * d]. */
async function readMeans(path: string, expertCount: number): Promise<Float32Array> {
  const tensor = (await readSafetensors(path)).tensors.get('embedding_mean');
  if (tensor === undefined || tensor.shape.length !== 2 || tensor.shape[0] !== expertCount)
    throw corrupt(
      `${path}: embedding_mean`,
      'BAD_HEADS',
      `the heads lack embedding_mean [${expertCount}, d]`,
    );
  return readTensorF32(tensor);
}

function reject(file: string | null, cause: unknown): never {
  const { message } = DmoermError.from(cause);
  throw corrupt(
    `${file}`,
    'BAD_ONNX_MODEL',
    `the aggregator does not take the experts' embeddings: ${message}`,
  );
}

function unknownTask(names: readonly string[]): never {
  throw new DmoermError({
    code: 'NOT_FOUND',
    reason: 'UNKNOWN_TASK',
    field: 'task',
    message: `this bundle has no such task; its tasks are ${names.join(', ')}`,
  });
}

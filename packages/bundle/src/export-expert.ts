import { DmoermError, invalidArgument } from '@dmoerm/core';
import {
  openAdapter,
  openBase,
  readSafetensors,
  readTensorF32,
  writeAdapter,
  type LoraValues,
  type ModelConfig,
  type TensorRef,
} from '@dmoerm/weights';
import type { Bundle } from './bundle';

/** What was written. */
export interface ExportedExpert {
  /** LoRA modules; 0 if the expert reads the base as it is: then the folder has one that adds nothing, as PEFT asks for one. */
  readonly moduleCount: number;
  /** Token ids that PEFT must find at the end of its input; null for an ordinary LoRA. */
  readonly invocationTokens: readonly number[] | null;
  /** What the expert's score has above PEFT's: a score head of transformers has no bias. */
  readonly bias: number;
}

/**
 * Writes an expert of a bundle as PEFT saves a reward model: LoRA and score head, for `AutoModelForSequenceClassification` with one
 * label on the bundle's base. A task's adapter on all rows becomes part of the expert's.
 * @throws DmoermError NOT_FOUND for the task or capability; ALREADY_EXISTS for the folder; INVALID_ARGUMENT, reason `TASK_ADAPTER`,
 *   for the plan `readout` with a task adapter.
 */
export async function exportExpert(
  bundle: Bundle,
  taskName: string,
  capabilityName: string,
  folder: string,
): Promise<ExportedExpert> {
  const task = bundle.task(taskName);
  const index = task.capabilities.findIndex(({ name }) => name === capabilityName);
  const capability = task.capabilities[index];
  if (capability === undefined)
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'UNKNOWN_CAPABILITY',
      field: 'capability',
      message: `the task ${taskName} has no such capability; it has ${task.capabilities.map(({ name }) => name).join(', ')}`,
    });
  if (task.task_adapter !== null && task.plan.type === 'readout')
    throw invalidArgument(
      'task',
      'TASK_ADAPTER',
      `the task ${taskName} has an adapter on all rows, its experts act on their invocation tokens: one PEFT folder cannot say both; ` +
        'merge the task adapter into the base',
    );
  const { config } = await openBase(bundle.basePath);
  const read = (path: string | null): Promise<LoraValues[]> =>
    path === null ? Promise.resolve([]) : readModules(bundle.file(path), config);
  const modules = addUp(await read(task.task_adapter), await read(capability.adapter));
  const invocationTokens = task.plan.type === 'readout' ? capability.invocation_tokens : null;
  const { weight, bias } = await readHead(bundle, task.heads, index, config.hiddenSize);
  await writeAdapter(
    folder,
    {
      modules: modules.length > 0 ? modules : [nothing(config)],
      invocationTokens,
      head: weight,
      baseName: bundle.manifest.base.name,
    },
    config,
  );
  return { moduleCount: modules.length, invocationTokens, bias };
}

async function readModules(folder: string, config: ModelConfig): Promise<LoraValues[]> {
  const { modules } = await openAdapter(folder, config);
  return Promise.all(
    modules.map(async ({ a, b, ...shape }) => ({
      ...shape,
      a: await readTensorF32(a),
      b: await readTensorF32(b),
    })),
  );
}

/** The modules of two adapters that act on the same rows: where both have one, a module of the sum of their ranks. */
function addUp(task: readonly LoraValues[], expert: readonly LoraValues[]): LoraValues[] {
  const key = ({ layer, target }: LoraValues): string => `${layer} ${target}`;
  const own = new Map(expert.map((one) => [key(one), one]));
  const alone = new Set(task.map(key));
  return [
    ...task.map((one) => {
      const other = own.get(key(one));
      return other === undefined ? one : sideBySide(one, other);
    }),
    ...expert.filter((one) => !alone.has(key(one))),
  ];
}

/** s B A + t D C = [s B, t D] [A; C]. */
function sideBySide(first: LoraValues, second: LoraValues): LoraValues {
  const rank = first.rank + second.rank;
  const rows = first.b.length / first.rank;
  const b = new Float32Array(rows * rank);
  for (let row = 0; row < rows; row++) {
    const left = first.b.subarray(row * first.rank, (row + 1) * first.rank);
    const right = second.b.subarray(row * second.rank, (row + 1) * second.rank);
    b.set(
      left.map((value) => first.scale * value),
      row * rank,
    );
    b.set(
      right.map((value) => second.scale * value),
      row * rank + first.rank,
    );
  }
  const { layer, target } = first;
  return { layer, target, rank, scale: 1, a: Float32Array.from([...first.a, ...second.a]), b };
}

async function readHead(
  bundle: Bundle,
  file: string,
  index: number,
  d: number,
): Promise<{ weight: Float32Array; bias: number }> {
  const { tensors } = await readSafetensors(bundle.file(file));
  const weights = await readTensorF32(tensors.get('weight') as TensorRef);
  const biases = await readTensorF32(tensors.get('bias') as TensorRef);
  return { weight: weights.slice(index * d, (index + 1) * d), bias: biases[index] ?? 0 };
}

/** A module that adds 0. */
function nothing(config: ModelConfig): LoraValues {
  const { layerCount, headCount, headDim, hiddenSize } = config;
  const a = new Float32Array(hiddenSize);
  const b = new Float32Array(headCount * headDim);
  return { layer: layerCount - 1, target: 'q_proj', rank: 1, scale: 1, a, b };
}

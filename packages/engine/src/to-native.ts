import { invalidArgument } from '@dmoerm/core';
import type { BaseModel, LoraAdapter, TensorRef } from '@dmoerm/weights';
import type { Batch, ExpertSpec, TaskSpec } from './engine';
import type { NativeBatch, NativeExpert, NativeLora, NativeModel, NativeTask, NativeTensor } from './native';

/** Numbers files in the order of their first use. */
class FileList {
  readonly files: string[] = [];
  private readonly indices = new Map<string, number>();

  tensor(ref: TensorRef, name = ref.name, ropeInterleaved = false): NativeTensor {
    let file = this.indices.get(ref.file);
    if (file === undefined) {
      file = this.files.push(ref.file) - 1;
      this.indices.set(ref.file, file);
    }
    const { type, shape, offset, bytes } = ref;
    return { name, type, shape, file, offset, bytes, ropeInterleaved };
  }
}

/** The addon's form of a base. */
export function toNativeModel(base: BaseModel): NativeModel {
  const list = new FileList();
  const tensors = [...base.tensors].map(([name, ref]) => list.tensor(ref, name, ref.ropeInterleaved));
  return { config: base.config, files: list.files, tensors };
}

/** The addon's form of a task. */
export function toNativeTask(spec: TaskSpec): NativeTask {
  const list = new FileList();
  return {
    plan: spec.plan.type,
    topLayers: spec.plan.type === 'top_layers' ? spec.plan.layers : 0,
    files: list.files,
    adapter: toNativeAdapter(spec.taskAdapter, list),
    experts: spec.experts.map((expert) => toNativeExpert(expert, list)),
  };
}

function toNativeExpert(expert: ExpertSpec, list: FileList): NativeExpert {
  return {
    adapter: toNativeAdapter(expert.adapter, list),
    invocationTokens: Int32Array.from(expert.invocationTokens),
    headWeight: expert.head.weight,
    headBias: expert.head.bias,
  };
}

function toNativeAdapter(adapter: LoraAdapter | null, list: FileList): NativeLora[] {
  return (adapter?.modules ?? []).map(({ layer, target, rank, scale, a, b }) => ({
    layer,
    target,
    rank,
    scale,
    a: list.tensor(a),
    b: list.tensor(b),
  }));
}

/** The addon's form of an adapter by itself. */
export function toNativeAdapterFiles(adapter: LoraAdapter | null): {
  readonly files: readonly string[];
  readonly taskAdapter: readonly NativeLora[];
} {
  const list = new FileList();
  return { taskAdapter: toNativeAdapter(adapter, list), files: list.files };
}

/** The addon's form of batch `index` of a call. @throws DmoermError INVALID_ARGUMENT if a candidate's prompt is no index. */
export function toNativeBatch({ task, prompts, candidates }: Batch, index: number): NativeBatch {
  candidates.forEach(({ prompt }, i) => {
    if (!Number.isInteger(prompt))
      throw invalidArgument(
        `batches[${index}].candidates[${i}].prompt`,
        'UNKNOWN_PROMPT',
        'the prompt must be an index of the batch',
      );
  });
  return { task: task.id, prompts, candidates };
}

import { DmoermError } from '@dmoerm/core';
import type {
  Batch,
  Engine,
  EngineInfo,
  EngineMemory,
  Evaluation,
  Outputs,
  TaskHandle,
  TaskSpec,
} from './engine';

/**
 * An engine without a model, for tests that are not about numerics: embeddings are a hash of the prompt's, candidate's and
 * expert's tokens, in [-1, 1); scores are the specs' value heads on them. Deterministic and independent of the batch.
 */
export function createFakeEngine(shape: {
  readonly hiddenSize: number;
  readonly maxPositions: number;
}): Engine {
  const info = { backend: 'fake', isa: 'none', threads: 1, weightType: 'f32', packed: 'not_cached' } as const;
  return new FakeEngine({ ...info, ...shape });
}

class FakeEngine implements Engine {
  private readonly tasks = new Map<number, TaskSpec>();
  private nextId = 1;

  constructor(readonly info: EngineInfo) {}

  async addTask(spec: TaskSpec): Promise<TaskHandle> {
    const id = this.nextId++;
    this.tasks.set(id, spec);
    return { id, expertCount: spec.experts.length };
  }

  async removeTask(task: TaskHandle): Promise<void> {
    this.tasks.delete(task.id);
  }

  async evaluate<const B extends readonly Batch[]>(batches: B, signal?: AbortSignal): Promise<Evaluation<B>> {
    if (signal?.aborted)
      throw new DmoermError({
        code: 'CANCELLED',
        reason: 'CANCELLED',
        message: 'the evaluation was cancelled',
      });
    const outputs = batches.map((batch) => this.outputs(batch)) as Evaluation<B>['outputs'];
    return { outputs, engineNs: 1 };
  }

  async memory(): Promise<EngineMemory> {
    return { baseBytes: 0, taskBytes: 0, workspaceBytes: 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.tasks.clear();
  }

  private outputs({ task, prompts, candidates }: Batch): Outputs {
    const spec = this.tasks.get(task.id);
    if (spec === undefined)
      throw new DmoermError({
        code: 'NOT_FOUND',
        reason: 'UNKNOWN_TASK_HANDLE',
        message: 'no such task',
        field: 'task',
      });
    const d = this.info.hiddenSize;
    const k = spec.experts.length;
    const embeddings = new Float32Array(candidates.length * k * d);
    const scores = new Float32Array(candidates.length * k);
    candidates.forEach(({ prompt, tokens }, n) => {
      spec.experts.forEach(({ head, invocationTokens }, e) => {
        let state = hash([...(prompts[prompt] ?? []), -1, ...tokens, -2, e, ...invocationTokens]);
        let score = head.bias;
        for (let c = 0; c < d; c++) {
          state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + c;
          const value = (state >> 8) / 2 ** 23;
          embeddings[(n * k + e) * d + c] = value;
          score += value * (head.weight[c] ?? 0);
        }
        scores[n * k + e] = score;
      });
    });
    return { embeddings, scores };
  }
}

/** FNV-1a over 32-bit words. */
function hash(words: readonly number[]): number {
  let state = 0x811c9dc5;
  for (const word of words) state = Math.imul(state ^ word, 0x01000193);
  return state;
}

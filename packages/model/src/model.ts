import { DmoermError, groupBy } from '@dmoerm/core';
import type { Bundle } from '@dmoerm/bundle';
import {
  createEngine,
  type Batch,
  type Engine,
  type EngineOptions,
  type ExpertSpec,
  type Outputs,
  type TaskHandle,
} from '@dmoerm/engine';
import { openTokenizer } from '@dmoerm/tokenizer';
import { openAdapter, openBase, readSafetensors, readTensorF32, type ModelConfig } from '@dmoerm/weights';
import {
  prepareItem,
  type EvaluateItem,
  type PreparedCandidate,
  type Renderer,
  type TokenItem,
} from './prepare';

/** Digests of what produced a score; each 64 hexadecimal digits. */
export interface TaskDigests {
  readonly base: string;
  /** In capability order; empty string for an expert without an adapter. */
  readonly adapters: readonly string[];
  readonly heads: string;
  readonly template: string;
}

/** An item ready for the engine. */
export interface PreparedItem extends TokenItem {
  readonly task: string;
}

/** What the K experts say of one candidate. */
export type CandidateOutput =
  | {
      readonly type: 'outputs';
      /** [K, d] */
      readonly embeddings: Float32Array;
      /** [K] */
      readonly scores: Float32Array;
      /** Tokens of prompt and candidate. */
      readonly tokenCount: number;
      readonly truncated: boolean;
    }
  | { readonly type: 'error'; readonly error: DmoermError };

/** Outputs of one engine call. */
export interface ModelEvaluation {
  /** By item, by candidate: same order and length as asked. */
  readonly items: readonly (readonly CandidateOutput[])[];
  readonly engineNs: number;
}

/** A bundle inside an engine. */
export interface Model {
  readonly revision: string;
  readonly taskNames: readonly string[];
  readonly engine: Engine;
  /** Most tokens of prompt and candidate together. */
  readonly maxTokens: number;
  /** @throws DmoermError NOT_FOUND, reason `UNKNOWN_TASK`, as all methods that take a task. */
  capabilities(task: string): readonly string[];
  digests(task: string): TaskDigests;
  /** Text to tokens; see `prepareItem`. */
  prepare(task: string, item: EvaluateItem): PreparedItem;
  /**
   * One engine call for items of any tasks. A candidate whose outputs are not finite gets INTERNAL, reason `NON_FINITE`,
   * the others stay.
   */
  evaluate(items: readonly PreparedItem[], signal?: AbortSignal): Promise<ModelEvaluation>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** How to load a model. */
export interface ModelOptions extends EngineOptions {
  /** Tasks to load; default all of the bundle. */
  readonly tasks?: readonly string[];
  /** The engine to load into, for tests; default a new one for the bundle's base. */
  readonly engine?: Engine;
}

interface LoadedTask {
  readonly handle: TaskHandle;
  readonly capabilities: readonly string[];
  readonly digests: TaskDigests;
  readonly renderer: Renderer;
}

/**
 * Loads a verified bundle's base, adapters and heads.
 * @throws DmoermError DATA_LOSS or INVALID_ARGUMENT naming the file or tensor; FAILED_PRECONDITION, reason
 *   `TEMPLATE_MISMATCH`, if the base's chat template is not the one that the bundle was trained with.
 */
export async function loadModel(bundle: Bundle, options: ModelOptions = {}): Promise<Model> {
  const base = await openBase(bundle.basePath);
  const { tokenizer, template } = await openTokenizer(bundle.basePath);
  if (template.digest !== bundle.manifest.template.digest)
    throw new DmoermError({
      code: 'FAILED_PRECONDITION',
      reason: 'TEMPLATE_MISMATCH',
      field: 'template.digest',
      message:
        "the base's chat template is not the one that the bundle was trained with; rewards would not mean anything",
    });
  const engine = options.engine ?? (await createEngine(base, options));
  const maxTokens = bundle.manifest.max_tokens;
  const tasks = new Map<string, LoadedTask>();
  try {
    for (const name of options.tasks ?? bundle.taskNames) {
      const experts = await readExperts(bundle, name, base.config);
      const { plan, task_adapter: taskAdapter, capabilities, heads } = bundle.task(name);
      const handle = await engine.addTask({
        plan,
        taskAdapter: taskAdapter === null ? null : await openAdapter(bundle.file(taskAdapter), base.config),
        experts,
      });
      const readoutTokens = experts.reduce((sum, { invocationTokens }) => sum + invocationTokens.length, 0);
      const rowsPerToken = plan.type === 'readout' ? 1 : experts.length;
      tasks.set(name, {
        handle,
        capabilities: capabilities.map((capability) => capability.name),
        digests: {
          base: bundle.baseDigest,
          adapters: capabilities.map(({ adapter }) =>
            adapter === null ? '' : adapterDigest(bundle, adapter),
          ),
          heads: bundle.manifest.files[heads]?.sha256 ?? '',
          template: template.digest,
        },
        renderer: {
          promptTokens: template.promptTokens,
          candidateTokens: template.candidateTokens,
          renderedTokens: (text) => tokenizer.encodeRendered(text),
          // What a readout appends needs positions too.
          maxTokens: Math.min(maxTokens, base.config.maxPositions - longest(experts)),
          cost: (prompt, candidates) =>
            rowsPerToken * (prompt + candidates.reduce((a, b) => a + b, 0)) +
            readoutTokens * candidates.length,
        },
      });
    }
  } catch (error) {
    if (options.engine === undefined) await engine[Symbol.asyncDispose]();
    throw error;
  }
  return new LoadedModel(bundle.revision, engine, maxTokens, tasks);
}

/** Most tokens that an expert appends to a candidate. */
function longest(experts: readonly ExpertSpec[]): number {
  return Math.max(...experts.map(({ invocationTokens }) => invocationTokens.length));
}

async function readExperts(bundle: Bundle, name: string, config: ModelConfig): Promise<ExpertSpec[]> {
  const task = bundle.task(name);
  const { tensors } = await readSafetensors(bundle.file(task.heads));
  const read = async (tensor: string): Promise<Float32Array> => {
    const ref = tensors.get(tensor);
    if (ref === undefined)
      throw new DmoermError({
        code: 'DATA_LOSS',
        reason: 'MISSING_TENSOR',
        field: `${task.heads}: ${tensor}`,
        message: `the heads of task ${name} lack the tensor ${tensor}`,
      });
    return readTensorF32(ref);
  };
  const weight = await read('weight');
  const bias = await read('bias');
  const d = config.hiddenSize;
  return Promise.all(
    task.capabilities.map(async (capability, k) => ({
      adapter:
        capability.adapter === null ? null : await openAdapter(bundle.file(capability.adapter), config),
      invocationTokens: capability.invocation_tokens,
      head: { weight: weight.slice(k * d, (k + 1) * d), bias: bias[k] ?? NaN },
    })),
  );
}

function adapterDigest(bundle: Bundle, directory: string): string {
  return bundle.manifest.files[`${directory}/adapter_model.safetensors`]?.sha256 ?? '';
}

class LoadedModel implements Model {
  readonly taskNames: readonly string[];

  constructor(
    readonly revision: string,
    readonly engine: Engine,
    readonly maxTokens: number,
    private readonly tasks: ReadonlyMap<string, LoadedTask>,
  ) {
    this.taskNames = [...tasks.keys()];
  }

  capabilities(task: string): readonly string[] {
    return this.task(task).capabilities;
  }

  digests(task: string): TaskDigests {
    return this.task(task).digests;
  }

  prepare(task: string, item: EvaluateItem): PreparedItem {
    return { task, ...prepareItem(item, this.task(task).renderer) };
  }

  async evaluate(items: readonly PreparedItem[], signal?: AbortSignal): Promise<ModelEvaluation> {
    const groups = [...groupBy(items, ({ task }) => task)];
    const batches = groups.map(([task, own]) => toBatch(this.task(task).handle, own));
    const { outputs, engineNs } = await this.engine.evaluate(batches, signal);
    const found = new Map<PreparedItem, readonly CandidateOutput[]>();
    outputs.forEach((own, i) => {
      const [task = '', asked = []] = groups[i] ?? [];
      const next = candidateReader(own, this.task(task).handle.expertCount, this.engine.info.hiddenSize);
      for (const item of asked)
        found.set(
          item,
          item.candidates.map((candidate, n) =>
            candidate.type === 'error' ? candidate : toOutput(item, candidate, n, next()),
          ),
        );
    });
    return { items: items.map((item) => found.get(item) ?? []), engineNs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
  }

  private task(name: string): LoadedTask {
    const task = this.tasks.get(name);
    if (task !== undefined) return task;
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'UNKNOWN_TASK',
      field: 'task',
      message: `this model has no such task; its tasks are ${this.taskNames.join(', ')}`,
    });
  }
}

/** The candidates that can be scored, in order; only prompts that one of them needs, which are those that fit. */
function toBatch(task: TaskHandle, items: readonly PreparedItem[]): Batch {
  const prompts: Int32Array[] = [];
  const candidates: { prompt: number; tokens: Int32Array }[] = [];
  for (const item of items) {
    const places = new Map<number, number>();
    for (const candidate of item.candidates) {
      if (candidate.type !== 'tokens') continue;
      const place =
        places.get(candidate.prompt) ?? prompts.push(item.prompts[candidate.prompt] as Int32Array) - 1;
      places.set(candidate.prompt, place);
      candidates.push({ prompt: place, tokens: candidate.tokens });
    }
  }
  return { task, prompts, candidates };
}

/** Reads a batch's outputs candidate by candidate. */
function candidateReader({ embeddings, scores }: Outputs, k: number, d: number): () => Outputs {
  let n = 0;
  return () => {
    const at = n++;
    return {
      embeddings: embeddings.slice(at * k * d, (at + 1) * k * d),
      scores: scores.slice(at * k, (at + 1) * k),
    };
  };
}

function toOutput(
  item: PreparedItem,
  candidate: Extract<PreparedCandidate, { type: 'tokens' }>,
  index: number,
  outputs: Outputs,
): CandidateOutput {
  if (![outputs.embeddings, outputs.scores].every((values) => values.every(Number.isFinite)))
    return { type: 'error', error: nonFinite(`candidates[${index}]`) };
  const tokenCount = (item.prompts[candidate.prompt]?.length ?? 0) + candidate.tokens.length;
  return { type: 'outputs', ...outputs, tokenCount, truncated: candidate.truncated };
}

function nonFinite(field: string): DmoermError {
  return new DmoermError({
    code: 'INTERNAL',
    reason: 'NON_FINITE',
    field,
    message: 'the experts gave NaN or infinity for this candidate; it has no reward',
  });
}

import type { BaseModel, LoraAdapter } from '@dmoerm/weights';
import { loadAddon } from './load';
import type { NativeEngine } from './native';
import { cancellable, guard } from './native-call';
import { toNativeBatch, toNativeModel, toNativeTask } from './to-native';

/** How the K experts of a task share the base pass (ARCHITECTURE, "Sharing plans"). */
export type SharingPlan =
  | { readonly type: 'full' }
  | { readonly type: 'top_layers'; readonly layers: number }
  | { readonly type: 'readout' };

/** One capability expert. */
export interface ExpertSpec {
  /** Null: the expert reads the base (or task adapter) as it is. */
  readonly adapter: LoraAdapter | null;
  /** Appended after each candidate in the readout plan; empty in the others. */
  readonly invocationTokens: readonly number[];
  /** Value head: score = weight . embedding + bias; weight [d]. */
  readonly head: { readonly weight: Float32Array; readonly bias: number };
}

/** A task: its experts in capability order. */
export interface TaskSpec {
  readonly plan: SharingPlan;
  /** LoRA on all rows of the task, or null. */
  readonly taskAdapter: LoraAdapter | null;
  readonly experts: readonly ExpertSpec[];
}

/** A task inside an engine. */
export interface TaskHandle {
  readonly id: number;
  /** K */
  readonly expertCount: number;
}

/** Prompts and the candidates that follow them, as token ids, for one task. */
export interface Batch {
  readonly task: TaskHandle;
  readonly prompts: readonly Int32Array[];
  readonly candidates: readonly { readonly prompt: number; readonly tokens: Int32Array }[];
}

/** Outputs for a batch's N candidates and its task's K experts; may hold NaN or infinity, which the caller must not pass on. */
export interface Outputs {
  /** Hidden state after the final norm at the pooled token, [N, K, d]. */
  readonly embeddings: Float32Array;
  /** Value heads, [N, K]. */
  readonly scores: Float32Array;
}

/** Outputs of one call. */
export interface Evaluation<B extends readonly Batch[] = readonly Batch[]> {
  /** One per batch, same order. */
  readonly outputs: { readonly [I in keyof B]: Outputs };
  /** Time in the engine, ns. */
  readonly engineNs: number;
}

/** What an engine is and runs on. */
export interface EngineInfo {
  readonly backend: 'cpu' | 'cuda' | 'fake';
  /** The unit in use, e.g. `avx512_bf16`, or `cuda`; see `EngineOptions.isa`. */
  readonly isa: string;
  readonly threads: number;
  readonly weightType: WeightType;
  /** What became of the packed weights in `EngineOptions.cacheDirectory`. */
  readonly packed: 'not_cached' | 'written' | 'mapped' | 'not_writable';
  /** d */
  readonly hiddenSize: number;
  readonly maxPositions: number;
}

/**
 * The base's weights in memory. Sums are float32 (int32 for `int8`) in every case.
 * - `bf16`: half the memory; units with bfloat16 dot products round activations to bfloat16 too
 * - `int8`: a quarter; a scale per output, activations rounded to 8 bits with a scale per row, adapters stay bfloat16
 * - `stored`: the file's own elements (GGUF blocks stay blocks), decoded while multiplying
 */
export type WeightType = 'f32' | 'bf16' | 'int8' | 'stored';

/** Bytes in use. */
export interface EngineMemory {
  /** Linear layers and embeddings, mapped files included. */
  readonly baseBytes: number;
  /** Adapters and heads of all tasks. */
  readonly taskBytes: number;
  /** Activations of the largest batch so far. */
  readonly workspaceBytes: number;
}

/** One resident base and the tasks on it; calls are answered in order, one at a time, off the event loop. */
export interface Engine {
  readonly info: EngineInfo;
  /** Loads adapters and heads. @throws DmoermError INVALID_ARGUMENT or DATA_LOSS naming the expert or tensor. */
  addTask(spec: TaskSpec): Promise<TaskHandle>;
  /** Frees a task. @throws DmoermError NOT_FOUND */
  removeTask(task: TaskHandle): Promise<void>;
  /**
   * Scores. Tasks whose experts fork in the same layer share forward passes. A candidate's numbers depend on its own
   * prompt, tokens and task only, to the bit.
   * @param signal Ends the work between two layers; the call then rejects with CANCELLED.
   * @throws DmoermError INVALID_ARGUMENT naming the prompt or candidate, e.g. `batches[0].candidates[2]`; NOT_FOUND for a
   *   task; CANCELLED.
   */
  evaluate<const B extends readonly Batch[]>(batches: B, signal?: AbortSignal): Promise<Evaluation<B>>;
  memory(): Promise<EngineMemory>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Prompts to be continued. */
export interface GenerationRequest {
  /** `seed`, an integer from 0, is that of the prompt's random numbers. */
  readonly prompts: readonly { readonly tokens: Int32Array; readonly seed: number }[];
  /** Completions per prompt, S; default 1. */
  readonly samples?: number;
  /** The policy is the base with this task's adapter of all rows; default: the base alone. */
  readonly task?: TaskHandle;
  /** Default 1; 0: always the likeliest token. */
  readonly temperature?: number;
  /** Only the likeliest tokens that together reach it (nucleus sampling, arXiv 1904.09751); default 1: all. */
  readonly topP?: number;
  readonly maxTokens: number;
  /** One of them ends a completion and is its last token. */
  readonly stopTokens?: readonly number[];
  /** Completions in flight; bounds the memory of their keys and values. Default 64. */
  readonly maxSequences?: number;
}

/** One continuation. */
export interface Completion {
  readonly tokens: Int32Array;
  /** Of each token: the model's own log-probabilities (nats), before temperature and `topP`. */
  readonly logProbs: Float32Array;
  /** By a stop token, not by `maxTokens`. */
  readonly stopped: boolean;
}

/** An engine whose base is a language model. */
export interface GeneratingEngine extends Engine {
  /**
   * Continues prompts, [prompts][S]. A completion depends on its own prompt, seed and number only, to the bit; its
   * log-probabilities are those of one forward pass over the whole sequence.
   * @param signal Ends the work between two layers; the call then rejects with CANCELLED.
   * @throws DmoermError INVALID_ARGUMENT naming the field; NOT_FOUND for a task; FAILED_PRECONDITION for a base without
   *   language-model head or with logits that are not finite; CANCELLED.
   */
  generate(request: GenerationRequest, signal?: AbortSignal): Promise<Completion[][]>;
}

/** How to load a base. */
export interface EngineOptions {
  /**
   * Default `auto`: `bf16` where this processor multiplies it markedly faster than float32, and on a GPU; else `f32`.
   * A GPU takes these two and `int8`.
   */
  readonly weightType?: WeightType | 'auto';
  /** Default 0: all cores. */
  readonly threads?: number;
  /** Default `auto`: the first GPU, or without one the widest unit of this processor. */
  readonly isa?:
    'auto' | 'cuda' | 'reference' | 'avx2' | 'avx_vnni' | 'avx512' | 'avx512_vnni' | 'avx512_bf16' | 'amx';
  /** Folder that keeps packed weights, mapped into memory at the next start; default null: packed at every start. */
  readonly cacheDirectory?: string | null;
  /**
   * Most token rows in flight, experts' copies behind a fork included; larger batches are computed in parts, with the same
   * bits. Bounds the memory of activations: about 18 bytes per row and hidden coordinate (0.5B base: 16 KB a row).
   * Default 8192; one conversation may exceed it.
   */
  readonly maxRows?: number;
}

/**
 * Loads a base into a new engine.
 * @throws DmoermError DATA_LOSS naming the tensor; UNIMPLEMENTED for an instruction set this machine lacks;
 *   FAILED_PRECONDITION if the native addon is not built.
 */
export async function createEngine(base: BaseModel, options: EngineOptions = {}): Promise<GeneratingEngine> {
  const native = new (loadAddon().NativeEngine)();
  const info = await guard(() =>
    native.load(toNativeModel(base), {
      weightType: options.weightType ?? 'auto',
      threads: options.threads ?? 0,
      isa: options.isa ?? 'auto',
      cacheDirectory: options.cacheDirectory ?? '',
      maxRows: options.maxRows ?? 8192,
    }),
  );
  const { hiddenSize, maxPositions } = base.config;
  const backend = info.isa === 'cuda' ? 'cuda' : 'cpu';
  return new NativeBackedEngine(native, { backend, ...info, hiddenSize, maxPositions });
}

class NativeBackedEngine implements GeneratingEngine {
  constructor(
    private readonly native: NativeEngine,
    readonly info: EngineInfo,
  ) {}

  async addTask(spec: TaskSpec): Promise<TaskHandle> {
    const id = await guard(() => this.native.addTask(toNativeTask(spec)));
    return { id, expertCount: spec.experts.length };
  }

  async removeTask(task: TaskHandle): Promise<void> {
    await guard(() => this.native.removeTask(task.id));
  }

  async evaluate<const B extends readonly Batch[]>(batches: B, signal?: AbortSignal): Promise<Evaluation<B>> {
    const call = { batches: batches.map(toNativeBatch) };
    return cancellable(() => this.native.evaluate(call), signal) as Promise<Evaluation<B>>;
  }

  async generate(request: GenerationRequest, signal?: AbortSignal): Promise<Completion[][]> {
    const { samples = 1 } = request;
    const generation = {
      task: request.task?.id ?? 0,
      prompts: request.prompts,
      samples,
      temperature: request.temperature ?? 1,
      topP: request.topP ?? 1,
      maxTokens: request.maxTokens,
      stopTokens: Int32Array.from(request.stopTokens ?? []),
      maxSequences: request.maxSequences ?? 64,
    };
    const completions = await cancellable(() => this.native.generate(generation), signal);
    return request.prompts.map((_, i) => completions.slice(i * samples, (i + 1) * samples));
  }

  async memory(): Promise<EngineMemory> {
    return guard(() => this.native.memory());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await guard(() => this.native.dispose());
  }
}

/**
 * The bridge to native/addon: DTOs and nothing else. Field names and order equal those in native/addon/convert.cpp; absent
 * is spelt out (empty arrays), never left out, so that a misspelt field fails loudly.
 */

import type { NativeTrainer } from './native-trainer';

/** A tensor on disk. */
export interface NativeTensor {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  /** Index into the owner's `files`. */
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  readonly ropeInterleaved: boolean;
}

/** Shape of a base; fields as in `ModelConfig` of packages/weights. */
export interface NativeConfig {
  readonly hiddenSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headDim: number;
  readonly ffnSize: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  readonly rmsNormEps: number;
  readonly inverseFrequencies: readonly number[];
  readonly ropeScale: number;
  readonly slidingWindows: readonly number[];
  readonly tiedEmbeddings: boolean;
}

/** A base on disk. */
export interface NativeModel {
  readonly config: NativeConfig;
  readonly files: readonly string[];
  readonly tensors: readonly NativeTensor[];
}

/** How to load a base. */
export interface NativeOptions {
  readonly weightType: 'auto' | 'f32' | 'bf16' | 'int8' | 'stored';
  /** 0: all cores. */
  readonly threads: number;
  readonly isa: string;
  /** Empty: none. */
  readonly cacheDirectory: string;
  readonly maxRows: number;
}

/** What a loaded engine says of itself. */
export interface NativeInfo {
  readonly isa: string;
  readonly threads: number;
  readonly weightType: 'f32' | 'bf16' | 'int8' | 'stored';
  readonly packed: 'not_cached' | 'written' | 'mapped' | 'not_writable';
}

/** Bytes in use. */
export interface NativeMemory {
  readonly baseBytes: number;
  readonly taskBytes: number;
  readonly workspaceBytes: number;
}

/** LoRA on one linear layer. */
export interface NativeLora {
  readonly layer: number;
  readonly target: string;
  readonly rank: number;
  readonly scale: number;
  readonly a: NativeTensor;
  readonly b: NativeTensor;
}

/** One expert. */
export interface NativeExpert {
  readonly adapter: readonly NativeLora[];
  readonly invocationTokens: Int32Array;
  /** [d] */
  readonly headWeight: Float32Array;
  readonly headBias: number;
}

/** A task. */
export interface NativeTask {
  readonly plan: 'full' | 'top_layers' | 'readout';
  /** For `top_layers`, else 0. */
  readonly topLayers: number;
  readonly files: readonly string[];
  readonly adapter: readonly NativeLora[];
  readonly experts: readonly NativeExpert[];
}

/** Prompts and their candidates for one task. */
export interface NativeBatch {
  /** Handle of `addTask`. */
  readonly task: number;
  readonly prompts: readonly Int32Array[];
  readonly candidates: readonly { readonly prompt: number; readonly tokens: Int32Array }[];
}

/** Batches of one call. */
export interface NativeCall {
  readonly batches: readonly NativeBatch[];
}

/** Outputs by batch. */
export interface NativeEvaluation {
  readonly outputs: readonly {
    /** [N, K, d] */
    readonly embeddings: Float32Array;
    /** [N, K] */
    readonly scores: Float32Array;
  }[];
  readonly engineNs: number;
}

/** Prompts to be continued. */
export interface NativeGeneration {
  /** 0: the base alone. */
  readonly task: number;
  readonly prompts: readonly { readonly tokens: Int32Array; readonly seed: number }[];
  readonly samples: number;
  readonly temperature: number;
  readonly topP: number;
  readonly maxTokens: number;
  readonly stopTokens: Int32Array;
  readonly maxSequences: number;
}

/** One continuation. */
export interface NativeCompletion {
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly stopped: boolean;
}

/** Work under way. */
export interface NativeCancellable<T> {
  readonly promise: Promise<T>;
  readonly cancel: () => void;
}

/** The addon's handle of one engine. Promises reject with an Error that has `code`, `reason` and `field`. */
export interface NativeEngine {
  load(model: NativeModel, options: NativeOptions): Promise<NativeInfo>;
  addTask(task: NativeTask): Promise<number>;
  removeTask(handle: number): Promise<void>;
  /** `cancel` ends the work between two layers; the promise then rejects with CANCELLED. */
  evaluate(call: NativeCall): NativeCancellable<NativeEvaluation>;
  /** Completions prompt by prompt. */
  generate(generation: NativeGeneration): NativeCancellable<readonly NativeCompletion[]>;
  memory(): Promise<NativeMemory>;
  dispose(): Promise<void>;
}

/** What the addon exports. */
export interface NativeAddon {
  readonly NativeEngine: new () => NativeEngine;
  readonly NativeTrainer: new () => NativeTrainer;
  /** What this machine runs, the widest first; values of `NativeOptions.isa`. */
  readonly instructionSets: readonly string[];
  /** Whether `auto` and `cuda` mean a GPU here; its name, or why there is none. */
  readonly gpu: { readonly available: boolean; readonly detail: string };
}

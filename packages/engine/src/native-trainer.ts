/** The bridge to the trainer of native/addon; as native.ts, field names and order equal those in convert_trainer.cpp. */

import type { NativeBatch, NativeCancellable, NativeLora, NativeModel, NativeTask } from './native';

/** LoRA to be learned on one linear layer. */
export interface NativeLoraShape {
  readonly layer: number;
  readonly target: string;
  readonly rank: number;
  readonly scale: number;
}

/** An expert to be learned. */
export interface NativeLearner {
  readonly adapter: readonly NativeLoraShape[];
  readonly dropout: number;
  readonly invocationTokens: Int32Array;
}

/** What a trainer learns. */
export interface NativeTrainerOptions {
  readonly weightType: 'f32' | 'bf16';
  /** 0: all cores. */
  readonly threads: number;
  readonly isa: string;
  readonly plan: NativeTask['plan'];
  /** For `top_layers`, else 0. */
  readonly topLayers: number;
  /** Tensors of `taskAdapter`. */
  readonly files: readonly string[];
  readonly taskAdapter: readonly NativeLora[];
  readonly trainBase: boolean;
  readonly experts: readonly NativeLearner[];
}

/** Two candidates to be told apart. */
export interface NativePair {
  readonly first: number;
  readonly second: number;
  readonly target: number;
  readonly weight: number;
}

/** What one expert learns from; `task` is its index. */
export interface NativeTrainBatch extends NativeBatch {
  readonly pairs: readonly NativePair[];
  /** By token of the candidates, or empty. */
  readonly tokenWeights: Float32Array;
  /** [rows, d], or empty. */
  readonly trunk: Float32Array;
}

/** A pass over batches. */
export interface NativePass {
  readonly learn: boolean;
  readonly seed: number;
  readonly batches: readonly NativeTrainBatch[];
}

/** What a pass over one batch gave. */
export interface NativeLoss {
  readonly pairLoss: number;
  readonly tokenLoss: number;
  /** By token of the candidates, or empty. */
  readonly tokenLogProbs: Float32Array;
  /** [N] */
  readonly scores: Float32Array;
  /** [N, d] */
  readonly embeddings: Float32Array;
}

/** Which numbers of a parameter. */
export type NativeField = 'value' | 'gradient' | 'first_moment' | 'second_moment';

/** A step of AdamW on one expert, or on the base (unit -1). */
export interface NativeStep {
  readonly unit: number;
  readonly learningRate: number;
  readonly headLearningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly step: number;
  /** 0: gradients are not clipped. */
  readonly clip: number;
}

/** The addon's handle of one trainer. Promises reject as those of `NativeEngine`. */
export interface NativeTrainer {
  load(
    model: NativeModel,
    options: NativeTrainerOptions,
  ): Promise<{
    readonly isa: string;
    readonly parameters: readonly { readonly name: string; readonly shape: readonly number[] }[];
  }>;
  read(what: { readonly name: string; readonly field: NativeField }): Promise<Float32Array>;
  write(what: {
    readonly name: string;
    readonly field: NativeField;
    readonly values: Float32Array;
  }): Promise<void>;
  pass(pass: NativePass): NativeCancellable<NativeLoss[]>;
  /** Resolves to the length of the gradient. */
  update(step: NativeStep): Promise<number>;
  trunk(batch: NativeBatch): NativeCancellable<Float32Array>;
  dispose(): Promise<void>;
}

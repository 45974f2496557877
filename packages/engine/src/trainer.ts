import type { BaseModel, LoraAdapter, LoraTarget } from '@dmoerm/weights';
import type { EngineOptions, SharingPlan } from './engine';
import { loadAddon } from './load';
import { cancellable, guard } from './native-call';
import type { NativeField, NativeTrainer } from './native-trainer';
import { toNativeAdapterFiles, toNativeModel } from './to-native';

/** LoRA to be learned on one linear layer: y += scale B A x, A [rank, in], B [out, rank]. */
export interface LoraShape {
  readonly layer: number;
  readonly target: LoraTarget;
  readonly rank: number;
  readonly scale: number;
}

/** An expert to be learned: its adapter (may be empty) and its value head. */
export interface LearnerSpec {
  readonly adapter: readonly LoraShape[];
  /** Share of the adapter's inputs that are left out in a learning pass; default 0. */
  readonly dropout?: number;
  /** Plan `readout` only. */
  readonly invocationTokens?: readonly number[];
}

/** What a trainer learns, and how it computes. */
export interface TrainerOptions extends Pick<EngineOptions, 'threads'> {
  /** As `EngineOptions.isa`: default `auto`, a GPU if the addon was built for one and finds it, else the widest unit of this processor. */
  readonly isa?: EngineOptions['isa'];
  readonly plan: SharingPlan;
  readonly experts: readonly LearnerSpec[];
  /** LoRA on all rows of the task, part of the base and not learned; default none. */
  readonly taskAdapter?: LoraAdapter | null;
  /** Learns the base's own tensors too; then there is one expert, without an adapter, in the plan `full`. */
  readonly trainBase?: boolean;
  /** Of products, forward and backward; sums, parameters and moments are float32. Default `bf16`. */
  readonly weightType?: 'f32' | 'bf16';
}

/**
 * Two candidates to be told apart: adds weight (softplus(z) - target z) to the loss, z = score of the first - score of the
 * second: the cross-entropy of sigmoid(z) for `target`.
 */
export interface Pair {
  readonly first: number;
  readonly second: number;
  /** 1 if the first is better, 0.5 for a tie. */
  readonly target: number;
  readonly weight: number;
}

/** What one expert learns from. */
export interface LearningBatch {
  /** Index into `TrainerOptions.experts`. */
  readonly expert: number;
  readonly prompts: readonly Int32Array[];
  readonly candidates: readonly { readonly prompt: number; readonly tokens: Int32Array }[];
  readonly pairs: readonly Pair[];
  /**
   * Learns next tokens, with the embeddings as output layer: times the negative log-likelihood of each token of the candidates, candidate
   * after candidate, given what comes before it; may be negative (a policy gradient). 0: not asked for, as a first token without a prompt
   * must be. Default: none. Not in the plan `readout`.
   */
  readonly tokenWeights?: Float32Array;
  /** What `Trainer.trunk` gave for these prompts and candidates: spares their pass through the layers below. */
  readonly trunk?: Float32Array;
}

/** What a pass gave for one batch. */
export interface BatchLoss {
  readonly pairLoss: number;
  readonly tokenLoss: number;
  /** ln p of the tokens that were asked for, 0 for the others; as long as `tokenWeights`. */
  readonly tokenLogProbs: Float32Array;
  /** [N] */
  readonly scores: Float32Array;
  /** [N, d] */
  readonly embeddings: Float32Array;
}

/** A step of AdamW (arXiv 1711.05101). */
export interface UpdateOptions {
  readonly learningRate: number;
  /** Of the value head; default `learningRate`. */
  readonly headLearningRate?: number;
  /** Counts from 1, per expert or base. */
  readonly step: number;
  /** Of matrices; norms, biases and heads do not decay. Default 0.01. */
  readonly weightDecay?: number;
  /** Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Gradients longer than this are scaled down to it; 0: never. Default 1. */
  readonly clip?: number;
}

/**
 * Learns experts, or a base, by gradients: the engine's forward pass backwards. An expert's numbers depend on its own
 * batches only, to the bit, whatever is learned beside it. Calls are answered in order.
 */
export interface Trainer {
  readonly isa: string;
  /**
   * `experts.2.layers.5.self_attn.q_proj.lora_A` [rank, in], `....lora_B` [out, rank], `experts.2.head.weight` [d],
   * `experts.2.head.bias` [1]; with `trainBase` the base's tensors by canonical name.
   */
  readonly parameters: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** A parameter's value, gradient or moment. @throws DmoermError NOT_FOUND */
  read(name: string, field?: NativeField): Promise<Float32Array>;
  /** Sets it. @throws DmoermError NOT_FOUND; INVALID_ARGUMENT for a wrong count or values that are not finite. */
  write(name: string, values: Float32Array, field?: NativeField): Promise<void>;
  /**
   * Losses, and their derivatives added to the gradients; adapters' inputs are dropped out by `seed`.
   * @throws DmoermError INVALID_ARGUMENT naming the prompt, candidate or pair; CANCELLED.
   */
  learn(batches: readonly LearningBatch[], seed: number, signal?: AbortSignal): Promise<BatchLoss[]>;
  /** Losses and scores alone. @throws DmoermError as `learn`. */
  score(batches: readonly LearningBatch[], signal?: AbortSignal): Promise<BatchLoss[]>;
  /**
   * Steps one expert, or the base, and clears its gradients. Resolves to the gradient's length before clipping; one that is
   * not finite changes nothing.
   */
  update(unit: number | 'base', options: UpdateOptions): Promise<number>;
  /** Hidden states that enter the first adapted layer of the plan `top_layers`, [rows, d], for `LearningBatch.trunk`. */
  trunk(batch: Pick<LearningBatch, 'prompts' | 'candidates'>, signal?: AbortSignal): Promise<Float32Array>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Loads a base to be learned on; adapters, heads and moments are 0. @throws DmoermError as `createEngine`, `Engine.addTask`. */
export async function createTrainer(base: BaseModel, options: TrainerOptions): Promise<Trainer> {
  const native = new (loadAddon().NativeTrainer)();
  const { isa, parameters } = await guard(() =>
    native.load(toNativeModel(base), {
      weightType: options.weightType ?? 'bf16',
      threads: options.threads ?? 0,
      isa: options.isa ?? 'auto',
      plan: options.plan.type,
      topLayers: options.plan.type === 'top_layers' ? options.plan.layers : 0,
      ...toNativeAdapterFiles(options.taskAdapter ?? null),
      trainBase: options.trainBase ?? false,
      experts: options.experts.map(({ adapter, dropout, invocationTokens }) => ({
        adapter,
        dropout: dropout ?? 0,
        invocationTokens: Int32Array.from(invocationTokens ?? []),
      })),
    }),
  );
  return new NativeBackedTrainer(native, isa, parameters);
}

class NativeBackedTrainer implements Trainer {
  constructor(
    private readonly native: NativeTrainer,
    readonly isa: string,
    readonly parameters: Trainer['parameters'],
  ) {}

  read(name: string, field: NativeField = 'value'): Promise<Float32Array> {
    return guard(() => this.native.read({ name, field }));
  }

  write(name: string, values: Float32Array, field: NativeField = 'value'): Promise<void> {
    return guard(() => this.native.write({ name, field, values }));
  }

  learn(batches: readonly LearningBatch[], seed: number, signal?: AbortSignal): Promise<BatchLoss[]> {
    return this.pass(batches, true, seed, signal);
  }

  score(batches: readonly LearningBatch[], signal?: AbortSignal): Promise<BatchLoss[]> {
    return this.pass(batches, false, 0, signal);
  }

  update(unit: number | 'base', options: UpdateOptions): Promise<number> {
    const [beta1, beta2] = options.betas ?? [0.9, 0.999];
    return guard(() =>
      this.native.update({
        unit: unit === 'base' ? -1 : unit,
        learningRate: options.learningRate,
        headLearningRate: options.headLearningRate ?? options.learningRate,
        beta1,
        beta2,
        epsilon: 1e-8,
        weightDecay: options.weightDecay ?? 0.01,
        step: options.step,
        clip: options.clip ?? 1,
      }),
    );
  }

  trunk(
    { prompts, candidates }: Pick<LearningBatch, 'prompts' | 'candidates'>,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    return cancellable(() => this.native.trunk({ task: 0, prompts, candidates }), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await guard(() => this.native.dispose());
  }

  private pass(
    batches: readonly LearningBatch[],
    learn: boolean,
    seed: number,
    signal: AbortSignal | undefined,
  ): Promise<BatchLoss[]> {
    const native = batches.map(({ expert, prompts, candidates, pairs, tokenWeights, trunk }) => ({
      task: expert,
      prompts,
      candidates,
      pairs,
      tokenWeights: tokenWeights ?? new Float32Array(0),
      trunk: trunk ?? new Float32Array(0),
    }));
    return cancellable(() => this.native.pass({ learn, seed, batches: native }), signal);
  }
}

/** How a tensor's elements are stored. The quantised ones are GGUF block types. */
export type TensorType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0' | 'Q4_1' | 'Q4_K' | 'Q6_K';

/** Where a tensor's bytes lie; nothing of them has been read yet. */
export interface TensorRef {
  readonly name: string;
  readonly type: TensorType;
  /** Sizes, outermost (slowest) first, as PyTorch prints them: a linear weight is [out, in]. */
  readonly shape: readonly number[];
  /** Absolute path of the file. */
  readonly file: string;
  /** First byte within the file. */
  readonly offset: number;
  /** Number of bytes; checked against type, shape and file size. */
  readonly bytes: number;
}

/** Families of decoder models that the engine knows. */
export type Architecture = 'llama' | 'mistral' | 'qwen2' | 'qwen3';

/** Everything the engine needs to know of a base besides its tensors. */
export interface ModelConfig {
  readonly architecture: Architecture;
  /** Hidden size d. */
  readonly hiddenSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headDim: number;
  /** Width of the gated MLP. */
  readonly ffnSize: number;
  readonly vocabSize: number;
  /** Longest sequence the base was made for, tokens. */
  readonly maxPositions: number;
  readonly rmsNormEps: number;
  /**
   * RoPE angle per position [headDim / 2], radians, scaling (linear, llama3, yarn) applied. RoPE rotates elements
   * (i, i + headDim/2).
   */
  readonly inverseFrequencies: readonly number[];
  /** Factor on RoPE's cosines and sines (yarn's attention factor), else 1. */
  readonly ropeScale: number;
  /** Sliding window per layer, tokens [layerCount]; a row sees itself and the window-1 rows before it; 0: no limit. */
  readonly slidingWindows: readonly number[];
  /** The embeddings are the language-model head too; only generation asks for one. */
  readonly tiedEmbeddings: boolean;
}

/**
 * A base model on disk. Tensor names are canonical whatever the container: `embed_tokens.weight`, `norm.weight`,
 * `layers.{i}.{input_layernorm|post_attention_layernorm}.weight`,
 * `layers.{i}.self_attn.{q|k|v|o}_proj.{weight|bias}`, `layers.{i}.self_attn.{q|k}_norm.weight`,
 * `layers.{i}.mlp.{gate|up|down}_proj.{weight|bias}`. Biases and q/k norms are there only if the model has them; `lm_head.weight`
 * [vocab, d] only if it has one of its own.
 */
export interface BaseModel {
  readonly config: ModelConfig;
  readonly tensors: ReadonlyMap<string, BaseTensor>;
}

/** A tensor of the base. */
export interface BaseTensor extends TensorRef {
  /**
   * True for q/k projections whose rows are ordered for RoPE over neighbouring pairs (2i, 2i+1) (GGUF llama):
   * the engine reorders rows to (i, i + headDim/2) while loading.
   */
  readonly ropeInterleaved: boolean;
}

/** Linear layers that LoRA can act on. */
export type LoraTarget = 'q_proj' | 'k_proj' | 'v_proj' | 'o_proj' | 'gate_proj' | 'up_proj' | 'down_proj';

/** LoRA on one linear layer: y += scale * B A x. */
export interface LoraModule {
  readonly layer: number;
  readonly target: LoraTarget;
  readonly rank: number;
  /** alpha / r, or alpha / sqrt(r) with rslora. */
  readonly scale: number;
  /** [rank, in] */
  readonly a: TensorRef;
  /** [out, rank] */
  readonly b: TensorRef;
}

/** A PEFT LoRA adapter on disk, checked against a base. */
export interface LoraAdapter {
  readonly modules: readonly LoraModule[];
  /** aLoRA invocation tokens, or null for an ordinary LoRA. */
  readonly invocationTokens: readonly number[] | null;
  /** Score head saved with the adapter, [1, d], or null. */
  readonly head: TensorRef | null;
}

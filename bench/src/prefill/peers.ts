import type { BaseModel } from '@dmoerm/weights';
import type { LlamaPeer } from '../peers/llama';
import type { OnnxRuntimePeer } from '../peers/onnx-runtime';
import type { TransformersPeer } from '../peers/transformers';
import type { VllmPeer } from '../peers/vllm';
import type { ModelFiles } from './models';

/** A way to pass one sequence through a model. */
export interface Prefiller {
  readonly name: string;
  /** Instructions that the engine uses. */
  readonly isa?: string;
  /** Seconds of each of several passes; null: it is not here. */
  readonly prefill:
    ((tokens: Int32Array, repeats: number, sequences: number) => Promise<readonly number[]>) | null;
}

/** The peers' processes; null: not installed. */
export class PrefillPeers {
  constructor(
    private readonly llama: LlamaPeer | null,
    private readonly onnx: OnnxRuntimePeer | null,
    private readonly transformers: TransformersPeer | null,
    private readonly vllm: VllmPeer | null,
    private readonly gpu: boolean,
  ) {}

  get versions(): Record<string, string> {
    return {
      ...(this.onnx === null ? {} : { 'ONNX Runtime': this.onnx.version }),
      ...(this.llama === null ? {} : { 'node-llama-cpp': this.llama.version }),
      ...(this.transformers === null ? {} : { transformers: this.transformers.version }),
      ...(this.vllm === null ? {} : { vLLM: this.vllm.version }),
    };
  }

  /** Loads a model into every peer, in each of the peer's types. */
  async load(files: ModelFiles, base: BaseModel, maxTokens: number): Promise<Prefiller[]> {
    if (this.gpu) return [...(await this.loadTransformers(files)), await this.loadVllm(files, maxTokens)];
    return [
      ...(await this.loadLlama(files, maxTokens)),
      ...(await this.loadOnnx(files, base)),
      ...(await this.loadTransformers(files)),
    ];
  }

  private async loadLlama({ name, ggufs }: ModelFiles, maxTokens: number): Promise<Prefiller[]> {
    const { llama } = this;
    const slots: Prefiller[] = [];
    for (const [type, path] of Object.entries(ggufs ?? { bf16: null, q8_0: null })) {
      const model = `${name} ${type}`;
      if (llama !== null && path !== null) await llama.load(model, path, maxTokens);
      const prefill =
        llama === null || path === null
          ? null
          : (tokens: Int32Array, repeats: number) => llama.prefill(model, tokens, repeats);
      slots.push({ name: `llama.cpp ${type}`, prefill });
    }
    return slots;
  }

  private async loadOnnx({ name }: ModelFiles, base: BaseModel): Promise<Prefiller[]> {
    const { onnx } = this;
    const slots: Prefiller[] = [];
    if (onnx === null) return slots;
    for (const type of ['fp32', 'int8'] as const) {
      const model = `${name}-${type}`;
      await onnx.load(model, base.config, type);
      slots.push({
        name: `ORT ${type}`,
        prefill: ({ length }, repeats) => onnx.prefill(model, length, repeats),
      });
    }
    return slots;
  }

  private async loadTransformers({ name, base }: ModelFiles): Promise<Prefiller[]> {
    const { transformers } = this;
    const slots: Prefiller[] = [];
    for (const [short, dtype] of [
      ['f32', 'float32'],
      ['bf16', 'bfloat16'],
    ] as const) {
      const model = `${name} ${short}`;
      await transformers?.load(model, base, dtype);
      const prefill =
        transformers === null
          ? null
          : (tokens: Int32Array, repeats: number, sequences: number) =>
              transformers.prefill(model, tokens, repeats, sequences);
      slots.push({ name: `transformers ${short}`, prefill });
    }
    return slots;
  }

  private async loadVllm({ name, base }: ModelFiles, maxTokens: number): Promise<Prefiller> {
    const { vllm } = this;
    await vllm?.load(name, base, maxTokens);
    const prefill =
      vllm === null
        ? null
        : (tokens: Int32Array, repeats: number, sequences: number) =>
            vllm.prefill(name, tokens, repeats, sequences);
    return { name: 'vLLM bf16', prefill };
  }
}

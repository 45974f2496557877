import { join } from 'node:path';
import { PEER_SCRIPTS } from '../paths';
import { peerNode } from './installed';
import { PeerProcess } from './peer-process';

/** N candidates for one prompt, token ids. */
export interface CandidateTokens {
  readonly prompt: Int32Array;
  readonly candidates: readonly Int32Array[];
}

/** Completions of one prompt. */
export interface SampledWork {
  /** GGUF file. */
  readonly path: string;
  readonly prompt: Int32Array;
  readonly samples: number;
  readonly newTokens: number;
}

/** llama.cpp in a process of its own (bench/peers/llama.mjs). */
export class LlamaPeer implements AsyncDisposable {
  private constructor(private readonly process: PeerProcess) {}

  /** Null if it is not installed. */
  static async start(threads: number): Promise<LlamaPeer | null> {
    const folder = peerNode();
    if (folder === null) return null;
    const script = join(PEER_SCRIPTS, 'llama.mjs');
    return new LlamaPeer(
      await PeerProcess.start('llama.cpp', process.execPath, [script, folder, `${threads}`]),
    );
  }

  get version(): string {
    return this.process.version;
  }

  /** Loads a GGUF file under a name, with a context of so many tokens. */
  async load(model: string, path: string, contextTokens: number): Promise<void> {
    await this.process.ask({ op: 'load', model, path, contextTokens });
  }

  /** Opens a context per LoRA, GGUF files by name: in llama.cpp adapters belong to a context. */
  async adapt(
    model: string,
    adapters: Readonly<Record<string, string>>,
    contextTokens: number,
  ): Promise<void> {
    await this.process.ask({ op: 'adapt', model, adapters, contextTokens });
  }

  /** Seconds of each of several passes over one sequence. */
  async prefill(model: string, tokens: Int32Array, repeats: number): Promise<readonly number[]> {
    const request = { op: 'prefill', model, tokens: [...tokens], repeats };
    return (await this.process.ask<{ seconds: number[] }>(request)).seconds;
  }

  /** Seconds for every adapter's context over every candidate; with the prefix cache each context reads the prompt once. */
  async experts(
    model: string,
    adapters: readonly string[],
    work: CandidateTokens,
    prefixCache: boolean,
  ): Promise<number> {
    const candidates = work.candidates.map((tokens) => [...tokens]);
    const request = { op: 'experts', model, adapters, prompt: [...work.prompt], candidates, prefixCache };
    return (await this.process.ask<{ seconds: number }>(request)).seconds;
  }

  /** Seconds for parallel sequences that each read the prompt and sample so many tokens at temperature 1. */
  async generate(model: string, work: SampledWork): Promise<number> {
    const request = { op: 'generate', model, ...work, prompt: [...work.prompt] };
    return (await this.process.ask<{ seconds: number }>(request)).seconds;
  }

  /** Ends the process. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}

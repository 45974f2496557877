import { join } from 'node:path';
import { PEER_SCRIPTS } from '../paths';
import { peerPython } from './installed';
import { PeerProcess } from './peer-process';

/** transformers and PEFT in a process of their own (bench/peers/transformers_peer.py). */
export class TransformersPeer implements AsyncDisposable {
  private constructor(private readonly process: PeerProcess) {}

  /** Null if it is not installed. */
  static async start(threads: number, gpu = false): Promise<TransformersPeer | null> {
    const python = peerPython();
    if (python === null) return null;
    const script = join(PEER_SCRIPTS, 'transformers_peer.py');
    return new TransformersPeer(
      await PeerProcess.start('transformers', python, [script, `${threads}`, gpu ? 'cuda' : 'cpu']),
    );
  }

  get version(): string {
    return this.process.version;
  }

  /** Loads a Hugging Face folder or GGUF file under a name. */
  async load(model: string, path: string, dtype: 'float32' | 'bfloat16'): Promise<void> {
    await this.process.ask({ op: 'load', model, path, dtype });
  }

  /** Puts PEFT adapters on a loaded model, folders by name. */
  async adapt(model: string, adapters: Readonly<Record<string, string>>): Promise<void> {
    await this.process.ask({ op: 'adapt', model, adapters });
  }

  /** Seconds of each of several passes over a sequence, `sequences` times side by side. */
  async prefill(
    model: string,
    tokens: Int32Array,
    repeats: number,
    sequences = 1,
  ): Promise<readonly number[]> {
    const request = { op: 'prefill', model, tokens: [...tokens], repeats, sequences };
    return (await this.process.ask<{ seconds: number[] }>(request)).seconds;
  }

  /**
   * Seconds for every adapter over every sequence, all of one length: `loop` switches the adapter and passes the batch, for each adapter;
   * `mixed` passes one batch of all pairs.
   */
  async experts(
    how: 'loop' | 'mixed',
    model: string,
    adapters: readonly string[],
    sequences: readonly Int32Array[],
  ): Promise<number> {
    const request = { op: how, model, adapters, tokens: sequences.map((tokens) => [...tokens]) };
    return (await this.process.ask<{ seconds: number }>(request)).seconds;
  }

  /** Adapters to be learned, PEFT's `LoraConfig` by name, on a copy of a loaded model. */
  async learners(
    model: string,
    source: string,
    adapters: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ): Promise<void> {
    await this.process.ask({ op: 'learners', model, source, adapters });
  }

  /** Seconds of a step of each adapter on the same pairs: forward, pairwise loss, backward, AdamW. */
  async learn(
    model: string,
    adapters: readonly string[],
    pairs: { readonly first: readonly Int32Array[]; readonly second: readonly Int32Array[] },
  ): Promise<number> {
    const first = pairs.first.map((tokens) => [...tokens]);
    const second = pairs.second.map((tokens) => [...tokens]);
    return (await this.process.ask<{ seconds: number }>({ op: 'learn', model, adapters, first, second }))
      .seconds;
  }

  /** Ends the process. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { PEER_SCRIPTS } from '../paths';
import { peerPython } from './installed';
import { PeerProcess } from './peer-process';

/** vLLM in a process of its own (bench/peers/vllm_peer.py), on a GPU. */
export class VllmPeer implements AsyncDisposable {
  private constructor(private readonly process: PeerProcess) {}

  /** Null if it is not installed: `.tools/peers/python/bin/pip install vllm`, which needs a GPU. */
  static async start(): Promise<VllmPeer | null> {
    const python = peerPython();
    if (python === null || spawnSync(python, ['-c', 'import vllm']).status !== 0) return null;
    return new VllmPeer(await PeerProcess.start('vLLM', python, [join(PEER_SCRIPTS, 'vllm_peer.py')]));
  }

  get version(): string {
    return this.process.version;
  }

  /** Loads a Hugging Face folder under a name, for sequences of at most `tokens`. */
  async load(model: string, path: string, tokens: number): Promise<void> {
    await this.process.ask({ op: 'load', model, path, tokens });
  }

  /** Seconds of each of several passes over a sequence, `sequences` times side by side. */
  async prefill(
    model: string,
    tokens: Int32Array,
    repeats: number,
    sequences: number,
  ): Promise<readonly number[]> {
    const request = { op: 'prefill', model, tokens: [...tokens], repeats, sequences };
    return (await this.process.ask<{ seconds: number[] }>(request)).seconds;
  }

  /** Ends the process. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}

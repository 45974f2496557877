import { join } from 'node:path';
import type { Shape } from '../model/shape';
import { MODELS_DIR, PEER_SCRIPTS } from '../paths';
import { PeerProcess } from './peer-process';

/** ONNX Runtime in a process of its own (bench/peers/ort.mjs); a package of the workspace, so that it is always there. */
export class OnnxRuntimePeer implements AsyncDisposable {
  private constructor(private readonly process: PeerProcess) {}

  static async start(threads: number): Promise<OnnxRuntimePeer> {
    const args = [join(PEER_SCRIPTS, 'ort.mjs'), join(MODELS_DIR, 'onnx'), `${threads}`];
    return new OnnxRuntimePeer(await PeerProcess.start('ONNX Runtime', process.execPath, args));
  }

  get version(): string {
    return this.process.version;
  }

  /** Loads a decoder of a shape, with made-up weights. */
  async load(model: string, shape: Shape, type: 'fp32' | 'int8'): Promise<void> {
    await this.process.ask({ op: 'load', model, shape, type });
  }

  /** Seconds of each of several passes over one sequence of so many rows. */
  async prefill(model: string, tokens: number, repeats: number): Promise<readonly number[]> {
    return (await this.process.ask<{ seconds: number[] }>({ op: 'prefill', model, tokens, repeats })).seconds;
  }

  /** Ends the process. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]();
  }
}

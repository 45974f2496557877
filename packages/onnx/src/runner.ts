import { DmoermError, corrupt } from '@dmoerm/core';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Answer, NamedTensors, Task } from './messages';

/** An ONNX model that is ready to run. */
export interface OnnxModel {
  /**
   * Runs the model once per feed, one after another: what one feed gives depends on that feed alone, to the bit. The feeds'
   * memory goes to the thread that runs it: they are empty afterwards.
   * @throws DmoermError INTERNAL, reason `ONNX_RUN_FAILED`, e.g. for a shape that the model does not take.
   */
  run(feeds: readonly NamedTensors[]): Promise<readonly NamedTensors[]>;
  close(): Promise<void>;
}

/** A thread that runs ONNX models: onnxruntime computes on the thread that asks it, which must not be the event loop. */
export interface OnnxRunner extends AsyncDisposable {
  /** Loads a model file. @throws DmoermError DATA_LOSS, reason `BAD_ONNX_MODEL`, if onnxruntime cannot. */
  open(path: string): Promise<OnnxModel>;
}

interface Pending {
  readonly resolve: (outputs: readonly NamedTensors[]) => void;
  readonly reject: (error: DmoermError) => void;
}

/** The worker is compiled; under test, this file is not. */
const WORKER = join(__dirname, '..', 'dist', 'worker.js');

/** Starts a runner. It does not keep the process alive while it has nothing to do. */
export function createOnnxRunner(): OnnxRunner {
  const worker = new Worker(WORKER);
  const pending = new Map<number, Pending>();
  let asked = 0;
  let opened = 0;
  let dead: DmoermError | null = null;

  const die = (cause?: unknown): void => {
    dead ??= failed(
      'ONNX_WORKER_STOPPED',
      'the thread that runs the models has stopped; restart the service',
      cause,
    );
    for (const { reject } of pending.values()) reject(dead);
    pending.clear();
  };
  worker.unref();
  worker.on('error', die);
  worker.on('exit', () => die());
  worker.on('message', (answer: Answer) => {
    const waiting = pending.get(answer.id);
    pending.delete(answer.id);
    if (pending.size === 0) worker.unref();
    if (answer.type === 'done') waiting?.resolve(answer.outputs);
    else waiting?.reject(failed('ONNX_RUN_FAILED', `the model could not be run: ${answer.message}`));
  });

  const ask = (task: Task, given: readonly ArrayBuffer[] = []): Promise<readonly NamedTensors[]> =>
    new Promise((resolve, reject) => {
      if (dead !== null) return reject(dead);
      const id = asked++;
      pending.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ ...task, id }, given);
    });

  return {
    open: async (path) => {
      const model = opened++;
      await ask({ type: 'open', model, path }).catch((error: DmoermError) => {
        if (error === dead) throw error;
        throw corrupt(path, 'BAD_ONNX_MODEL', `onnxruntime cannot load the model: ${error.message}`);
      });
      return {
        run: (feeds) => ask({ type: 'run', model, feeds }, feeds.flatMap(buffersOf)),
        close: async () => void (await ask({ type: 'close', model })),
      };
    },
    [Symbol.asyncDispose]: async () => void (await worker.terminate()),
  };
}

function buffersOf(tensors: NamedTensors): ArrayBuffer[] {
  return Object.values(tensors).map(({ data }) => data.buffer);
}

function failed(reason: string, message: string, cause?: unknown): DmoermError {
  return new DmoermError({ code: 'INTERNAL', reason, message, cause });
}

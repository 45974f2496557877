import { InferenceSession, Tensor } from 'onnxruntime-node';
import { parentPort } from 'node:worker_threads';
import type { Answer, Ask, NamedTensors, OnnxTensor, Task } from './messages';

const sessions = new Map<number, InferenceSession>();
/** Tasks are done one after another, in the order of arrival. */
let last: Promise<unknown> = Promise.resolve();

parentPort?.on('message', ({ id, ...task }: Ask) => {
  last = last
    .then(() => perform(task))
    .then(
      (outputs) => answer({ id, type: 'done', outputs }, outputs),
      (error: unknown) =>
        answer({ id, type: 'failed', message: error instanceof Error ? error.message : String(error) }),
    );
});

function answer(message: Answer, outputs: readonly NamedTensors[] = []): void {
  parentPort?.postMessage(
    message,
    outputs.flatMap((named) => Object.values(named).map(({ data }) => data.buffer)),
  );
}

async function perform(task: Task): Promise<readonly NamedTensors[]> {
  switch (task.type) {
    case 'open':
      sessions.set(task.model, await open(task.path));
      return [];
    case 'run': {
      const outputs: NamedTensors[] = [];
      for (const feeds of task.feeds) outputs.push(await run(session(task.model), feeds));
      return outputs;
    }
    case 'close':
      await session(task.model).release();
      sessions.delete(task.model);
      return [];
  }
}

/** One thread: with more, the split of a product, and with it its rounding, would depend on the machine. */
function open(path: string): Promise<InferenceSession> {
  return InferenceSession.create(path, {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
}

function session(model: number): InferenceSession {
  const found = sessions.get(model);
  if (found === undefined) throw new Error('the model is closed');
  return found;
}

async function run(model: InferenceSession, feeds: NamedTensors): Promise<NamedTensors> {
  const inputs = Object.entries(feeds).map(([name, tensor]) => [name, toTensor(tensor)] as const);
  const outputs = await model.run(Object.fromEntries(inputs));
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, fromTensor(name, tensor)]),
  );
}

function toTensor(tensor: OnnxTensor): Tensor {
  return tensor.type === 'float32'
    ? new Tensor('float32', tensor.data, tensor.shape)
    : new Tensor('int64', tensor.data, tensor.shape);
}

function fromTensor(name: string, tensor: Tensor): OnnxTensor {
  const shape = [...tensor.dims];
  // A copy, since the buffer is given away to the other thread.
  if (tensor.type === 'float32')
    return { type: 'float32', shape, data: Float32Array.from(tensor.data as Float32Array) };
  if (tensor.type === 'int64')
    return { type: 'int64', shape, data: BigInt64Array.from(tensor.data as BigInt64Array) };
  throw new Error(`output ${name} is of type ${tensor.type}; only float32 and int64 are read`);
}

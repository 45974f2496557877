import { createFakeEngine } from '@dmoerm/engine';
import type { Batch, Engine } from '@dmoerm/engine';
import { openBase } from '@dmoerm/weights';
import { setTimeout as sleep } from 'node:timers/promises';

/** An engine whose time is simulated: it waits instead of computing, so that the processor is never what is measured. */
export interface SimulatedEngine extends Engine {
  /** Called with the tokens of each candidate that the engine begins to work on. */
  onCandidate: (tokens: Int32Array) => void;
}

/** @param msPerRow Time of a token row; a batch of a task with K experts has K rows per token. */
export async function createSimulatedEngine(basePath: string, msPerRow: number): Promise<SimulatedEngine> {
  const { hiddenSize, maxPositions } = (await openBase(basePath)).config;
  const fake = createFakeEngine({ hiddenSize, maxPositions });
  const engine: SimulatedEngine = {
    info: fake.info,
    onCandidate: () => undefined,
    addTask: (spec) => fake.addTask(spec),
    removeTask: (task) => fake.removeTask(task),
    memory: () => fake.memory(),
    evaluate: async (batches, signal) => {
      for (const { candidates } of batches) for (const { tokens } of candidates) engine.onCandidate(tokens);
      const ms = batches.reduce((sum, batch) => sum + rowsOf(batch), 0) * msPerRow;
      await sleep(ms, undefined, { ...(signal && { signal }) }).catch(() => undefined);
      return fake.evaluate(batches, signal);
    },
    [Symbol.asyncDispose]: () => fake[Symbol.asyncDispose](),
  };
  return engine;
}

function rowsOf({ task, prompts, candidates }: Batch): number {
  const all = [...prompts, ...candidates.map(({ tokens }) => tokens)];
  return task.expertCount * all.reduce((sum, { length }) => sum + length, 0);
}

import {
  createEngine,
  type Engine,
  type EngineOptions,
  type ExpertSpec,
  type GeneratingEngine,
  type TaskHandle,
  type WeightType,
} from '@dmoerm/engine';
import { DmoermError } from '@dmoerm/core';
import type { BaseModel, LoraAdapter } from '@dmoerm/weights';
import { progress } from './progress';

/** Types of weights to measure. */
export const WEIGHT_TYPES: readonly WeightType[] = ['f32', 'bf16', 'int8', 'stored'];

/** Opens an engine; null, with the reason printed, if it cannot have this base or machine with these options. */
export async function openEngine(
  base: BaseModel,
  options: EngineOptions & { readonly weightType: WeightType | 'auto' },
): Promise<GeneratingEngine | null> {
  try {
    return await createEngine(base, options);
  } catch (error) {
    if (!(error instanceof DmoermError)) throw error;
    if (error.code !== 'UNIMPLEMENTED' && error.code !== 'INVALID_ARGUMENT') throw error;
    progress(`weights ${options.weightType} are skipped: ${error.message}`);
    return null;
  }
}

/** An expert whose head counts for nothing. */
export function expert(
  engine: Engine,
  adapter: LoraAdapter | null,
  invocationTokens: readonly number[] = [],
): ExpertSpec {
  return { adapter, invocationTokens, head: { weight: new Float32Array(engine.info.hiddenSize), bias: 0 } };
}

/** A task of one expert that reads the base as it is. */
export function addPlainTask(engine: Engine): Promise<TaskHandle> {
  return engine.addTask({ plan: { type: 'full' }, taskAdapter: null, experts: [expert(engine, null)] });
}

/** Seconds, as the caller sees them, of the base's pass over a sequence, `sequences` times side by side. */
export async function timeSequence(
  engine: Engine,
  task: TaskHandle,
  tokens: Int32Array,
  sequences = 1,
): Promise<number> {
  const candidates = Array.from({ length: sequences }, () => ({ prompt: 0, tokens }));
  const batch = { task, prompts: [new Int32Array(0)], candidates };
  const start = performance.now();
  await engine.evaluate([batch]);
  return (performance.now() - start) / 1e3;
}

import type { Engine, WeightType } from '@dmoerm/engine';
import type { BaseModel } from '@dmoerm/weights';
import { addPlainTask, openEngine, timeSequence } from '../engine';
import type { Prefiller } from './peers';

/** One engine per type of weights, all on one base. */
export interface PrefillEngines extends AsyncDisposable {
  /** Named by the type. */
  readonly prefillers: readonly Prefiller[];
}

/** Opens the engines; types that cannot be had are left out, with the reason printed. */
export async function openEngines(
  base: BaseModel,
  options: { readonly weights: readonly WeightType[]; readonly threads: number; readonly maxRows?: number },
): Promise<PrefillEngines> {
  const engines: Engine[] = [];
  const prefillers: Prefiller[] = [];
  for (const weightType of options.weights) {
    const engine = await openEngine(base, { weightType, ...options });
    if (engine === null) continue;
    engines.push(engine);
    prefillers.push({ name: weightType, isa: engine.info.isa, prefill: await prefillOf(engine) });
  }
  return {
    prefillers,
    [Symbol.asyncDispose]: async () => {
      for (const engine of engines) await engine[Symbol.asyncDispose]();
    },
  };
}

async function prefillOf(engine: Engine): Promise<NonNullable<Prefiller['prefill']>> {
  const task = await addPlainTask(engine);
  return async (tokens, repeats, sequences) => {
    const seconds: number[] = [];
    for (let i = 0; i < repeats; i++) seconds.push(await timeSequence(engine, task, tokens, sequences));
    return seconds;
  };
}

import { join } from 'node:path';
import { digestBase, type Bundle } from '@dmoerm/bundle';
import { fingerprint, loadModel, type Model, type ModelOptions } from '@dmoerm/model';
import type { Rewarder } from './bundle-rewards';
import { packBatches } from '@dmoerm/core';
import type { SamplePair } from './sample';
import { ScoreCache, type Scored } from './score-cache';

/** How the engine holds the base's weights; the names of `EngineOptions.weightType`. */
export type WeightType = NonNullable<ModelOptions['weightType']>;

/** Rows of one engine call: enough to fill the kernels, few enough to save often. */
const BATCH_ROWS = 4096;

/** One weight type: scores pairs and keeps what it scored. */
export interface Scorer extends AsyncDisposable {
  readonly type: WeightType;
  readonly model: Model;
  readonly cache: ScoreCache;
  /** Of this run alone, without what came from the cache. */
  readonly work: { rows: number; engineNs: number };
  /** Scores the pairs of one task that are missing. @throws DmoermError of a candidate that has no scores. */
  score(pairs: readonly SamplePair[]): Promise<void>;
}

/** What a scorer stands on. */
export interface ScorerOptions {
  readonly bundle: Bundle;
  readonly type: WeightType;
  readonly isa: NonNullable<ModelOptions['isa']>;
  readonly threads: number;
  readonly rewarders: ReadonlyMap<string, Rewarder>;
  /** Where the caches of all scorers lie. */
  readonly folder: string;
}

/**
 * Loads the bundle with one weight type. Its cache is keyed by revision, base file, type, unit and the bits of a fixed evaluation:
 * kernels that compute something else start another one.
 * @throws DmoermError if the engine does not know the type.
 */
export async function openScorer(options: ScorerOptions): Promise<Scorer> {
  const { bundle, type, isa, threads, rewarders, folder } = options;
  const model = await loadModel(bundle, { weightType: type, isa, threads });
  const base = await digestBase(bundle.basePath);
  const digests = [bundle.revision, base.digest, await fingerprint(model)].map((one) => one.slice(0, 12));
  const cache = new ScoreCache(join(folder, `${type}-${model.engine.info.isa}-${digests.join('-')}`));
  const work = { rows: 0, engineNs: 0 };
  return {
    type,
    model,
    cache,
    work,
    score: async (pairs) => {
      const missing = pairs.filter(({ key: pair }) => !cache.has(pair));
      if (missing.length === 0) return;
      const items = missing.map(({ item }) => item);
      const { items: outputs, engineNs } = await model.evaluate(items);
      work.rows += items.reduce((sum, { engineTokens }) => sum + engineTokens, 0);
      work.engineNs += engineNs;
      for (const [i, { key: pair, task }] of missing.entries())
        cache.add(pair, await toScored(outputs[i] ?? [], rewarders.get(task)));
    },
    [Symbol.asyncDispose]: async () => {
      cache.close();
      await model[Symbol.asyncDispose]();
    },
  };
}

/** Batches of one task each, of all tasks in turn: a run that is cut off has seen a fair share. */
export function toBatches(sample: readonly SamplePair[]): SamplePair[][] {
  const tasks = new Map<string, SamplePair[]>();
  for (const pair of sample) tasks.set(pair.task, [...(tasks.get(pair.task) ?? []), pair]);
  const batches = [...tasks.values()].flatMap((pairs) => {
    const own = packBatches(pairs, ({ item }) => item.engineTokens, BATCH_ROWS);
    return own.map((batch, i) => ({ batch, at: i / own.length }));
  });
  return batches.sort((a, b) => a.at - b.at).map(({ batch }) => batch);
}

async function toScored(
  outputs: Awaited<ReturnType<Model['evaluate']>>['items'][number],
  rewarder: Rewarder | undefined,
): Promise<Scored[]> {
  const found = outputs.map((output) => {
    if (output.type === 'error') throw output.error;
    return output;
  });
  const rewards = (await rewarder?.(found)) ?? [];
  return found.map(({ embeddings, scores }, i) => ({
    reward: rewards[i] ?? NaN,
    scores: Array.from(scores),
    embeddings,
  }));
}

import { join } from 'node:path';
import { hashFile, sha256 } from '@dmoerm/bundle';
import { createTrainer, writeLearned, type Trainer } from '@dmoerm/engine';
import { openAdapter } from '@dmoerm/weights';
import type { EmbeddedPair } from '../head';
import { mergeGroups, type GroupRows } from './batch';
import { splitRows, type Chunk } from './chunks';
import type { EncodedGroup } from './encode';
import type { PairRecord } from './pairs';
import type { RecipeTask } from './recipe';
import { MAX_ROWS, openTrunkCache, readoutTokens, taskAdapterOf, unitFolder, type Run } from './run';
import { loraShapes } from './units';
import { ValueCache } from './value-cache';

/** Embeddings [N, K * d] of a group's candidates, by the group's key. */
export type GroupEmbeddings = ReadonlyMap<string, Float32Array>;

/**
 * What the trained experts of a task make of groups: z_1 .. z_K of every candidate. Kept on disk: computed once for a set of
 * experts.
 * @throws DmoermError FAILED_PRECONDITION if the task's adapter is not trained yet.
 */
export async function embedGroups(
  run: Run,
  task: RecipeTask,
  groups: readonly EncodedGroup[],
): Promise<GroupEmbeddings> {
  const taskAdapter = await taskAdapterOf(run, task);
  const adapters = adaptersOf(run, task);
  const questions = questionsOf(run, task);
  const digests = await Promise.all(
    [...adapters, ...(taskAdapter === null ? [] : [taskAdapter])].map((folder) =>
      hashFile(join(folder, 'adapter_model.safetensors')),
    ),
  );
  const { recipe } = run.options;
  const made = [
    digests.map(({ sha256: one }) => one),
    questions,
    run.reference.digest,
    recipe.plan,
    recipe.weights,
  ];
  const name = `${task.name}-${sha256(JSON.stringify(made)).slice(0, 16)}`;
  const cache = new ValueCache(join(run.options.folder, 'embeddings', name), 'f32');
  try {
    const missing = groups.filter(({ key }) => !cache.has(key));
    if (missing.length > 0) await compute({ run, task, groups: missing, cache });
    const found = new Map<string, Float32Array>();
    for (const { key } of groups)
      found.set(key, await cache.get(key, () => Promise.reject(new Error(`${key} was not embedded`))));
    return found;
  } finally {
    cache.close();
  }
}

/** The trained experts of a task, in the order of its capabilities. @throws DmoermError as `embedGroups`. */
export async function openExperts(run: Run, task: RecipeTask): Promise<Trainer> {
  const { config } = run.base;
  const { recipe, threads } = run.options;
  const { plan } = recipe;
  const first = plan.type === 'top_layers' ? config.layerCount - plan.layers : 0;
  const taskAdapter = await taskAdapterOf(run, task);
  const trainer = await createTrainer(run.base, {
    plan,
    threads,
    weightType: recipe.weights,
    taskAdapter: taskAdapter === null ? null : await openAdapter(taskAdapter, config),
    experts: questionsOf(run, task).map((invocationTokens) => ({
      adapter: loraShapes(recipe, config, first),
      invocationTokens,
    })),
  });
  for (const [i, folder] of adaptersOf(run, task).entries())
    await writeLearned(trainer, i, await openAdapter(folder, config));
  return trainer;
}

function adaptersOf(run: Run, task: RecipeTask): string[] {
  return task.capabilities.map((capability) => join(unitFolder(run, { task, capability }), 'adapter'));
}

function questionsOf(run: Run, task: RecipeTask): (readonly number[])[] {
  return task.capabilities.map((capability) => readoutTokens(run, { task, capability }));
}

/** What `compute` computes. */
interface Work {
  readonly run: Run;
  readonly task: RecipeTask;
  readonly groups: readonly EncodedGroup[];
  readonly cache: ValueCache;
}

async function compute({ run, task, groups, cache }: Work): Promise<void> {
  const { config } = run.base;
  const experts = task.capabilities.length;
  const taskAdapter = await taskAdapterOf(run, task);
  await using trainer = await openExperts(run, task);
  const trunk = await openTrunkCache(run, taskAdapter);
  const all = groups.reduce((sum, { rows }) => sum + rows, 0);
  let done = 0;
  try {
    for (const part of splitRows(groups, MAX_ROWS)) {
      await embedPart(trainer, part, { trunk, cache, experts, d: config.hiddenSize });
      done += part.reduce((sum, { rows }) => sum + rows, 0);
      run.options.onProgress?.(`${task.name}, embeddings`, done, all);
    }
  } finally {
    trunk?.close();
  }
}

async function embedPart(
  trainer: Trainer,
  part: Chunk,
  {
    trunk,
    cache,
    experts,
    d,
  }: {
    readonly trunk: ValueCache | null;
    readonly cache: ValueCache;
    readonly experts: number;
    readonly d: number;
  },
): Promise<void> {
  const rows = await mergeGroups(part, trainer, trunk);
  const embeddings = await embedRows(trainer, rows, experts, d);
  let at = 0;
  for (const { key, candidates } of part) {
    const end = at + candidates.length * experts * d;
    const own = embeddings.subarray(at, end);
    await cache.get(key, () => Promise.resolve(own));
    at = end;
  }
}

/** Embeddings [N, K * d] of candidates by the K experts of `openExperts`. */
export async function embedRows(
  trainer: Trainer,
  rows: GroupRows,
  experts: number,
  d: number,
): Promise<Float32Array> {
  // In one call: where experts read the same trunk, it is passed once.
  const results = await trainer.score(
    Array.from({ length: experts }, (_, expert) => ({ expert, ...rows, pairs: [] })),
  );
  const count = rows.candidates.length;
  const all = new Float32Array(count * experts * d);
  for (const [k, { embeddings }] of results.entries())
    for (let n = 0; n < count; n++) all.set(embeddings.subarray(n * d, (n + 1) * d), (n * experts + k) * d);
  return all;
}

/** A pair with the experts' embeddings [K * d] of both responses. */
export interface JudgedPair {
  readonly row: PairRecord;
  readonly pair: EmbeddedPair;
}

/** The pairs of learner 0 with their embeddings. */
export function judgedPairs(groups: readonly EncodedGroup[], embeddings: GroupEmbeddings): JudgedPair[] {
  return groups.flatMap(({ key, candidates, pairs }) => {
    const all = embeddings.get(key) ?? new Float32Array(0);
    const width = all.length / candidates.length;
    const at = (n: number): Float32Array => all.subarray(n * width, (n + 1) * width);
    return (pairs.get(0) ?? []).map(({ first, second, record }) => ({
      row: record,
      pair: { chosen: at(first), rejected: at(second) },
    }));
  });
}

import type { LearningBatch, Trainer } from '@dmoerm/engine';
import type { Chunk } from './chunks';
import type { ValueCache } from './value-cache';

/** What a pass needs of groups: all their prompts and candidates, and the cached states below the first adapted layer. */
export type GroupRows = Pick<LearningBatch, 'prompts' | 'candidates' | 'trunk'>;

/** Joins groups in their order; candidate `n` of a group is `n` plus the candidates of those before it. */
export async function mergeGroups(
  groups: Chunk,
  trainer: Trainer,
  cache: ValueCache | null,
): Promise<GroupRows> {
  const prompts: Int32Array[] = [];
  const candidates: { prompt: number; tokens: Int32Array }[] = [];
  for (const group of groups) {
    for (const { prompt, tokens } of group.candidates)
      candidates.push({ prompt: prompts.length + prompt, tokens });
    prompts.push(...group.prompts);
  }
  if (cache === null) return { prompts, candidates };
  return { prompts, candidates, trunk: await cachedTrunk(groups, trainer, cache) };
}

/** Hidden states of all rows of groups, from the cache or put there. */
export async function cachedTrunk(groups: Chunk, trainer: Trainer, cache: ValueCache): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (const group of groups) parts.push(await cache.get(group.key, () => trainer.trunk(group)));
  return concat(parts);
}

function concat(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

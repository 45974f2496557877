import { groupBy, createRandom, shuffle } from '@dmoerm/core';
import type { EncodedGroup } from './encode';

/** The prompts of one step. */
export type Chunk = readonly EncodedGroup[];

/**
 * The steps of an epoch. Prompts share a step with prompts of the same learners only, so that each learner sees full steps
 * whatever else is learned; the order depends on the seed and the data alone, not on who is being trained.
 */
export function epochChunks(groups: readonly EncodedGroup[], size: number, seed: number): Chunk[] {
  const random = createRandom(seed);
  const kinds = groupBy(groups, ({ pairs }) => [...pairs.keys()].sort((a, b) => a - b).join(','));
  const chunks: Chunk[] = [];
  for (const own of kinds.values()) {
    const order = shuffle(own, random);
    for (let at = 0; at < order.length; at += size) chunks.push(order.slice(at, at + size));
  }
  return shuffle(chunks, random);
}

/** Parts of a chunk of at most `maxRows` rows, in order; a prompt alone may exceed them. */
export function splitRows(chunk: Chunk, maxRows: number): Chunk[] {
  const parts: EncodedGroup[][] = [];
  let rows = 0;
  for (const group of chunk) {
    const last = parts.at(-1);
    if (last === undefined || rows + group.rows > maxRows) {
      parts.push([group]);
      rows = group.rows;
    } else {
      last.push(group);
      rows += group.rows;
    }
  }
  return parts;
}

import { createClient } from '@dmoerm/client';
import type { ScoreItem } from '@dmoerm/client';
import { createRandom, shuffle } from '@dmoerm/core';
import { noise } from '@dmoerm/testing';
import { QUICK_END, exitStatus, serve } from '../../serve';
import type { Figure, Outcome, Size } from '../figure';
import { greatestDifference, numbersOf } from '../support/numbers-of';
import { seededItems } from '../support/seeded-items';
import { createSpecFolder } from '../support/spec-folder';
import type { SpecFolder } from '../support/spec-folder';

const ITEMS: Readonly<Record<Size, number>> = { quick: 60, short: 1500, full: 10_000 };
const MOST_IN_BATCH = 64;

/** Scores items that arrive together: the numbers of each. */
type ScoreTogether = (items: readonly ScoreItem[]) => Promise<number[][]>;

/** Batch invariance: what an item gets depends on nothing but itself. */
export const R13: Figure = {
  id: 'R13',
  title: 'batch invariance',
  threshold: 'max abs diff 0 alone, in any batch, order, replica and after a restart',
  measure: async (size) => {
    await using folder = await createSpecFolder();
    const items = seededItems(ITEMS[size]);
    const alone: number[][] = [];
    // Replicas of 1 and 2 threads; the second run of the first replica is its restart, which takes too long for quick size.
    const others = [
      [2, 1],
      [1, 2],
    ] as const;
    await withMesh(folder, 1, async (score) => {
      for (const item of items) alone.push(...(await score([item])));
    });
    let greatest = 0;
    for (const [threads, seed] of size === 'quick' ? others.slice(0, 1) : others)
      await withMesh(folder, threads, async (score) => {
        greatest = Math.max(greatest, await compare(items, alone, score, seed));
      });
    return verdict(greatest, items.length);
  },
  control: async (size) => {
    const items = seededItems(ITEMS[size]);
    const alone: number[][] = [];
    for (const item of items) alone.push(...(await sumByBatch([item])));
    return verdict(await compare(items, alone, sumByBatch, 1), items.length);
  },
};

/** The greatest difference to what the items got alone, in random order and batches. */
async function compare(
  items: readonly ScoreItem[],
  alone: readonly (readonly number[])[],
  score: ScoreTogether,
  seed: number,
): Promise<number> {
  const random = createRandom(seed);
  const order = shuffle(
    items.map((_, n) => n),
    random,
  );
  let greatest = 0;
  while (order.length > 0) {
    const batch = order.splice(0, 1 + Math.floor(MOST_IN_BATCH * random()));
    const numbers = await score(batch.map((n) => items[n] as ScoreItem));
    batch.forEach((n, i) => {
      greatest = Math.max(greatest, greatestDifference(alone[n] ?? [], numbers[i] ?? []));
    });
  }
  return greatest;
}

function verdict(greatest: number, count: number): Outcome {
  return { holds: greatest === 0, figure: `max abs diff ${greatest} over ${count} items` };
}

/** Runs `work` on a mesh of processes that lives as long as it. */
async function withMesh(
  { bundle, path }: SpecFolder,
  threads: number,
  work: (score: ScoreTogether) => Promise<void>,
): Promise<void> {
  const served = await serve(bundle, path, [], { ...QUICK_END, DMOERM_EXPERT_THREADS: `${threads}` });
  const client = createClient({ address: served.addresses.router });
  try {
    await work(async (items) => (await client.batchScore([...items])).map(numbersOf));
  } finally {
    client.close();
    served.child.kill('SIGTERM');
    await exitStatus(served.child);
  }
}

/** A reduction as many write it: its order depends on the size of the batch, and with it its rounding. */
async function sumByBatch(items: readonly ScoreItem[]): Promise<number[][]> {
  return items.map(({ candidates: [text = ''] }) => {
    const values = noise(64, text.length);
    const parts = new Float32Array(items.length);
    values.forEach((value, i) => (parts[i % parts.length] = (parts[i % parts.length] ?? 0) + value));
    return [parts.reduce((sum, part) => Math.fround(sum + part), 0)];
  });
}

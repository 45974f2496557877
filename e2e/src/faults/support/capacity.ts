import { readFileSync } from 'node:fs';
import { createClient, type ScoreItem } from '@dmoerm/client';
import type { Fixture } from './fixture';

/** Callers without pause: enough that the mesh always has something to do. */
const CALLERS = 16;

/** Calls a second, as `ranks` ranks make them of the fixture's items, that a mesh does when it always has enough to do. */
export async function capacityOf(
  target: string,
  { items }: Fixture,
  ranks: number,
  seconds: number,
): Promise<number> {
  const works = readFileSync(items, 'utf8')
    .trim()
    .split('\n')
    .map((line) => toWork(line, ranks));
  const client = createClient({ address: target });
  const begin = performance.now();
  let done = 0;
  const caller = async (_: unknown, n: number): Promise<void> => {
    for (let i = n; performance.now() < begin + 1e3 * seconds; i++, done++)
      await client.score(works[i % works.length] as ScoreItem);
  };
  try {
    await Promise.all(Array.from({ length: CALLERS }, caller));
    return (1e3 * done) / (performance.now() - begin);
  } finally {
    client.close();
  }
}

/** The part of an item that one rank scores. */
function toWork(line: string, ranks: number): ScoreItem {
  const { messages, candidates } = JSON.parse(line) as {
    readonly messages: readonly { readonly role: 'user'; readonly content: string }[];
    readonly candidates: readonly string[];
  };
  return {
    prompt: { type: 'conversation', messages },
    candidates: candidates.slice(0, Math.ceil(candidates.length / ranks)),
  };
}

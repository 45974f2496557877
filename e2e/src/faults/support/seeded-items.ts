import type { ScoreItem } from '@dmoerm/client';
import { createRandom } from '@dmoerm/core';
import { SPEC_TASKS } from '@dmoerm/testing';

const WORDS = ['tell', 'me', 'more', 'about', 'rivers', 'and', 'why', 'they', 'bend', 'so', 'often', '7'];

/** Items of one candidate each, of all tasks of the spec bundle and many lengths; the same in every run. */
export function seededItems(count: number, seed = 1): ScoreItem[] {
  const random = createRandom(seed);
  const words = (most: number): string =>
    Array.from(
      { length: 1 + Math.floor(most * random()) },
      () => WORDS[Math.floor(WORDS.length * random())],
    ).join(' ');
  return Array.from({ length: count }, (_, n) => {
    const { word } = SPEC_TASKS[n % SPEC_TASKS.length] as (typeof SPEC_TASKS)[number];
    return {
      prompt: { type: 'conversation', messages: [{ role: 'user', content: `${word} ${words(20)}` }] },
      candidates: [`${words(30)} ${n}`],
    };
  });
}

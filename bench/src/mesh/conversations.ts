import type { ScoreItem } from '@dmoerm/client';

/** Everyday words; each is one token or two of most bases. */
const WORDS = (
  'the house stood near a river and people went there every summer to swim or fish while children played games on grass ' +
  'we asked how long it would take to walk from one end of town to another before dark but nobody knew for sure so they ' +
  'made tea read books wrote letters cooked rice with green beans then slept until morning light came through open windows'
).split(' ');

/** How long the parts of a made-up conversation are, in words. */
export interface Shape {
  readonly promptWords: number;
  readonly candidates: number;
  readonly candidateWords: number;
}

/** A conversation of one user turn and its candidates; equal seeds give equal texts, others differ from the first word on. */
export function makeConversation(seed: number, shape: Shape): ScoreItem {
  let state = seed;
  const words = (count: number): string =>
    Array.from({ length: count }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return WORDS[(state >>> 16) % WORDS.length];
    }).join(' ');
  const content = `${words(shape.promptWords)}?`;
  return {
    prompt: { type: 'conversation', messages: [{ role: 'user', content }] },
    candidates: Array.from({ length: shape.candidates }, () => `${words(shape.candidateWords)}.`),
  };
}

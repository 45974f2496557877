import type { Message } from '@dmoerm/core';
import fc from 'fast-check';
import { prepareItem, type Renderer } from './prepare';

/** A token per character and one per turn; counts the prompts that it renders. */
function countingRenderer(maxTokens: number): Renderer & { readonly count: () => number } {
  let rendered = 0;
  return {
    promptTokens: (messages: readonly Message[]) => {
      rendered++;
      return messages.flatMap(({ content }, turn) => [-turn, ...Array.from(content, () => 1)]);
    },
    candidateTokens: (text) => Array.from(text, () => 2),
    renderedTokens: (text) => Array.from(text, () => 3),
    maxTokens,
    cost: () => 0,
    count: () => rendered,
  };
}

const conversation = (lengths: readonly number[]): Message[] =>
  lengths.map((length, i) => ({
    role: (lengths.length - i) % 2 === 1 ? 'user' : 'assistant',
    content: 'x'.repeat(length),
  }));

it('drops as few of the oldest turns as the longest conversation allows, never the last', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 25 });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 2, max: 200 }), (own, maxTokens) => {
      const item = prepareItem(
        {
          prompt: { type: 'conversation', messages: conversation(own) },
          candidates: ['y'],
          truncation: 'keep_end',
        },
        countingRenderer(maxTokens),
      );
      const tokensFrom = (first: number): number =>
        own.slice(first).reduce((sum, length) => sum + length + 1, 0);
      const first = own.findIndex((_, i) => tokensFrom(i) + 1 <= maxTokens);
      const [candidate] = item.candidates;
      if (first < 0) expect(candidate).toMatchObject({ type: 'error', error: { reason: 'TOO_LONG' } });
      else {
        expect(candidate).toMatchObject({ type: 'tokens', truncated: first > 0 });
        expect(item.prompts[0]?.length).toBe(tokensFrom(first));
      }
    }),
  );
});

it('very many turns cost a few renderings, not one each', () => {
  const renderer = countingRenderer(1000);
  const messages = conversation(Array.from({ length: 10_001 }, () => 1));
  prepareItem(
    { prompt: { type: 'conversation', messages }, candidates: ['y', 'yy'], truncation: 'keep_end' },
    renderer,
  );
  expect(renderer.count()).toBeLessThan(32);
});

import fc from 'fast-check';
import { splitText } from './text-split';

/** What the prompt and the text share, the slow way. */
function slowOverlap(text: string, prompt: string): number {
  for (let n = Math.min(text.length, prompt.length); n > 0; n--)
    if (prompt.endsWith(text.slice(0, n))) return n;
  return 0;
}

describe('splitText', () => {
  it.each([
    ['the whole prompt', '<s>why?because', '<s>why?', '<s>why?', 'because'],
    ['the end of a prompt that was cut', 'why?because', 'and then: why?', 'why?', 'because'],
    ['nothing of the prompt', 'because', 'why?', 'b', 'ecause'],
    ['no prompt', 'because', '', 'b', 'ecause'],
    ['a first character of two code units', '🌊 waves', '', '🌊', ' waves'],
    ['no response', 'why?', 'why?', 'why?', ''],
    ['nothing at all', '', 'why?', '', ''],
  ])('%s', (_, text, prompt, first, second) => {
    expect(splitText(text, prompt)).toEqual({ prompt: first, response: second });
  });

  it('finds the longest part that the text begins with and the prompt ends with, and loses nothing', () => {
    const few = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 12 });
    fc.assert(
      fc.property(few, few, (text, prompt) => {
        const split = splitText(text, prompt);
        expect(split.prompt + split.response).toBe(text);
        expect(split.prompt).toHaveLength(slowOverlap(text, prompt) || Math.min(1, text.length));
      }),
      { numRuns: 2000 },
    );
  });

  it('takes no longer for texts that are made to be slow: a million of them would take hours the slow way', () => {
    const same = 'a'.repeat(1_000_000);
    const start = performance.now();
    expect(splitText(`${same}b`, `${same}c`).prompt).toBe('a');
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

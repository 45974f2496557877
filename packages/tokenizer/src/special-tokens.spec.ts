import fc from 'fast-check';
import { openTokenizer, type OpenedTokenizer } from './open';
import { SpecialTokens, type AddedToken } from './special-tokens';
import { failure } from './spec-support/folders';
import { goldenPath } from './spec-support/goldens';

const added = (content: string, id: number, strip: Partial<AddedToken> = {}): AddedToken => ({
  content,
  id,
  special: true,
  lstrip: false,
  rstrip: false,
  ...strip,
});
/** Tokens that overlap, contain each other and hold characters of regular expressions. */
const CONTENTS = [
  '<|end|>',
  '<|end',
  'end|>',
  '<<',
  '<|',
  '(a*)',
  '[INST]',
  '[/INST]',
  '[[INST]]',
  '</s>',
  '\\d+',
];
const tokens = new SpecialTokens(CONTENTS.map((content, id) => added(content, id)));
const MARK = '\ufdd0';

/** Text made of special tokens, pieces of them and ordinary letters. */
const nastyText = fc
  .array(
    fc.oneof(
      fc.constantFrom(...CONTENTS),
      fc.constantFrom(...CONTENTS.join('')),
      fc.string({ unit: 'grapheme' }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.join(''));

describe('SpecialTokens', () => {
  it('finds no special token in broken text, and gives the text back whole', () => {
    fc.assert(
      fc.property(nastyText, (text) => {
        fc.pre(!text.includes(MARK));
        const segments = tokens.split(tokens.breakTyped(text, MARK), MARK);
        expect(segments).toEqual(text === '' ? [] : [{ type: 'text', text }]);
      }),
      { numRuns: 1000 },
    );
  });

  it('would find them in text that is not broken', () => {
    expect(tokens.split('a<|end|>b', null)).toEqual([
      { type: 'text', text: 'a' },
      { type: 'special', id: 0 },
      { type: 'text', text: 'b' },
    ]);
  });

  it('prefers the longest of the tokens that start at one place', () => {
    expect(tokens.split('<|end|><|end', null)).toEqual([
      { type: 'special', id: 0 },
      { type: 'special', id: 1 },
    ]);
  });

  it('lets tokens take in the blanks beside them if they are made so', () => {
    const greedy = new SpecialTokens([added('<m>', 1, { lstrip: true }), added('<n>', 2, { rstrip: true })]);
    expect(greedy.split('a <m> b <n> c', null)).toEqual([
      { type: 'text', text: 'a' },
      { type: 'special', id: 1 },
      { type: 'text', text: ' b ' },
      { type: 'special', id: 2 },
      { type: 'text', text: 'c' },
    ]);
  });

  it('takes a mark that no text holds, and refuses texts that hold all of them', async () => {
    expect(tokens.unusedMark(['a', '\ufdd0\ufdd1'])).toBe('\ufdd2');
    const all = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i)).join('');
    expect(await failure(() => tokens.unusedMark([all]))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'TEXT_OF_NONCHARACTERS',
    });
  });

  it('refuses special tokens of one character, which cannot be told from typed ones', async () => {
    expect(await failure(() => new SpecialTokens([added('#', 1)]))).toMatchObject({
      reason: 'UNSUPPORTED_TOKENIZER',
    });
  });
});

describe('text that somebody typed', () => {
  const MARKERS = ['<|bos|>', '<|user|>', '<|assistant|>', '<|end|>', '<|system|>'];
  const typed = fc
    .array(
      fc.oneof(
        fc.constantFrom(...MARKERS),
        fc.constantFrom('<|', '|>', '<', 'end', '|', ' ', '\n', '\ufdd0', '\ufdd1', 'é'),
      ),
      { maxLength: 20 },
    )
    .map((parts) => parts.join(''));
  let opened: OpenedTokenizer;
  beforeAll(async () => (opened = await openTokenizer(goldenPath('tokenizer', 'smollm'))));
  const specialIds = (ids: readonly number[]) => ids.filter((id) => id < MARKERS.length);

  it('never becomes a special token', () => {
    fc.assert(fc.property(typed, (text) => expect(specialIds(opened.tokenizer.encode(text))).toEqual([])));
  });

  it('never adds to or takes from the special tokens of the template', () => {
    const wanted = specialIds(opened.template.promptTokens([{ role: 'user', content: 'x' }]));
    fc.assert(
      fc.property(typed, typed, (content, answer) => {
        expect(specialIds(opened.template.promptTokens([{ role: 'user', content }]))).toEqual(wanted);
        expect(specialIds(opened.template.candidateTokens(answer))).toEqual([opened.template.endTokenId]);
      }),
      { numRuns: 300 },
    );
  });
});

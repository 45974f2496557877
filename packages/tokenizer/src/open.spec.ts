import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Gguf, GgufValue } from '@dmoerm/weights';
import { readGgufTokenizer } from './gguf-source';
import { openTokenizer } from './open';
import { failure, TokenizerFolders } from './spec-support/folders';
import { goldenPath } from './spec-support/goldens';
import { BpeTokenizer } from './tokenizer';

const folders = new TokenizerFolders();
afterAll(() => folders.remove());

const TEMPLATE = "{% for m in messages %}{{ m.content + '<|end|>' }}{% endfor %}";

describe('openTokenizer', () => {
  it('takes the template from chat_template.jinja first, then by the name default', async () => {
    const digest = async (folder: string) => (await openTokenizer(folder)).template.digest;
    const wanted = await digest(folders.copy({ config: { chat_template: TEMPLATE } }));
    expect(await digest(folders.copy({ files: { 'chat_template.jinja': TEMPLATE } }))).toBe(wanted);
    const list = [
      { name: 'tool_use', template: 'x' },
      { name: 'default', template: TEMPLATE },
    ];
    expect(await digest(folders.copy({ config: { chat_template: list } }))).toBe(wanted);
  });

  it('reads special tokens as text, as objects and from special_tokens_map.json', async () => {
    const digest = async (config: object, files = {}) =>
      (await openTokenizer(folders.copy({ config: { ...config }, files }))).template.digest;
    const wanted = await digest({});
    expect(await digest({ bos_token: { content: '<|bos|>', lstrip: false } })).toBe(wanted);
    expect(
      await digest({ bos_token: undefined }, { 'special_tokens_map.json': '{"bos_token": "<|bos|>"}' }),
    ).toBe(wanted);
  });

  it('knows tokens by their text', async () => {
    const { tokenizer } = await openTokenizer(folders.copy({}));
    expect(tokenizer.tokenId('<|end|>')).toBe(3);
    expect(tokenizer.encode('a')).toEqual([tokenizer.tokenId('a')]);
    expect(tokenizer.tokenId('no such token')).toBeNull();
    expect(tokenizer.vocabSize).toBe(403);
  });

  it('takes tokens with a role for special ones even if the file lists them as ordinary', async () => {
    const added = [{ id: 3, content: '<|end|>', special: false }];
    const { tokenizer } = await openTokenizer(folders.copy({ tokenizer: { added_tokens: added } }));
    expect(tokenizer.encodeRendered('<|end|><|user|>')).toEqual([3, 1]);
    expect(tokenizer.encode('<|end|><|user|>').filter((id) => id < 5)).toEqual([]);
  });

  it('finds added tokens that are not special in plain text too, as transformers does', async () => {
    const token = { id: 403, content: '<tool>', special: false, normalized: false };
    const { tokenizer } = await openTokenizer(folders.copy({ tokenizer: { added_tokens: [token] } }));
    expect(tokenizer.encode('a<tool>')).toEqual([...tokenizer.encode('a'), 403]);
    expect(tokenizer.vocabSize).toBe(404);
  });

  it('puts the blank that a tokenizer wants before the first text only before the first', async () => {
    const vocab = { '▁': 0, a: 1, '▁a': 2, '<s>': 3 };
    const tokenizer = {
      added_tokens: [{ id: 3, content: '<s>', special: true }],
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
      model: { type: 'BPE', vocab, merges: [['▁', 'a']] },
    };
    const config = {
      bos_token: '<s>',
      eos_token: '<s>',
      chat_template: "{% for m in messages %}{{ m.content + '<s>' }}{% endfor %}",
    };
    const opened = await openTokenizer(folders.copy({ tokenizer, config }));
    expect(opened.tokenizer.encodeRendered('a<s>a a')).toEqual([2, 3, 1, 2]);
    expect(opened.template.candidateTokens('a')).toEqual([1, 3]);
  });

  it.each([
    [
      'digits of every script apart',
      { type: 'Digits', individual_digits: true },
      { '١': 0, '٢': 1, '١٢': 2 },
      ['١', '٢'],
      '١٢',
      [0, 1],
    ],
    [
      'U+0085 from punctuation',
      { type: 'ByteLevel' },
      { '!': 0, Â: 1, ħ: 2, '!Â': 3 },
      ['!', 'Â'],
      '!\u0085',
      [0, 1, 2],
    ],
  ])('keeps %s, where JavaScript classes would not', async (_, pre_tokenizer, vocab, merge, text, ids) => {
    const model = { type: 'BPE', vocab, merges: [merge] };
    const tokenizer = { added_tokens: [{ id: 9, content: '<|end|>', special: true }], pre_tokenizer, model };
    expect((await openTokenizer(folders.copy({ tokenizer }))).tokenizer.encode(text)).toEqual(ids);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['Unigram', { model: { type: 'Unigram', vocab: [] } }, 'UNSUPPORTED_TOKENIZER'],
    ['a model without merges', { model: { type: 'BPE', vocab: {} } }, 'BAD_TOKENIZER'],
    ['ids that are not numbers', { model: { type: 'BPE', vocab: { a: 'x' }, merges: [] } }, 'BAD_TOKENIZER'],
    ['huge ids', { added_tokens: [{ id: 2 ** 40, content: 'a', special: true }] }, 'BAD_JSON_VALUE'],
    ['an unknown pre-tokenizer', { pre_tokenizer: { type: 'Guess' } }, 'BAD_TOKENIZER'],
    ['an unknown normalizer', { normalizer: { type: 'Guess' } }, 'BAD_TOKENIZER'],
  ])('refuses %s', async (_, tokenizer, reason) => {
    expect(await failure(() => openTokenizer(folders.copy({ tokenizer })))).toMatchObject({ reason });
  });

  it('says that tokenizer.json is missing', async () => {
    const folder = folders.copy({});
    rmSync(join(folder, 'tokenizer.json'));
    expect(await failure(() => openTokenizer(folder))).toMatchObject({
      code: 'NOT_FOUND',
      reason: 'FILE_NOT_FOUND',
    });
  });

  it.each(['a', ' ', '\n', '1', '!', '漢', '😀', '\u0301', '<|end|>', '<', 'ab '])(
    'encodes 100,000 characters of %j without growing slow',
    async (piece) => {
      for (const name of ['smollm', 'qwen2'] as const) {
        const { tokenizer } = await openTokenizer(goldenPath('tokenizer', name));
        expect(tokenizer.encode(piece.repeat(Math.floor(100_000 / piece.length))).length).toBeGreaterThan(0);
      }
    },
  );
});

describe('readGgufTokenizer', () => {
  const metadata: Record<string, GgufValue> = {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': ['a', 'b', 'ab', '<e>', '<u>', '1', '2', '12', 'Ġ'],
    'tokenizer.ggml.token_type': [1, 1, 1, 3, 4, 1, 1, 1, 1],
    'tokenizer.ggml.merges': ['a b', '1 2'],
    'tokenizer.ggml.eos_token_id': 3,
  };
  const read = (changes: Record<string, GgufValue | undefined>) => {
    const entries = Object.entries({ ...metadata, ...changes }).filter(
      (entry): entry is [string, GgufValue] => entry[1] !== undefined,
    );
    const gguf: Gguf = { metadata: new Map(entries), tensors: new Map() };
    return readGgufTokenizer('model.gguf', gguf);
  };

  it('tells control tokens from tokens that users defined', () => {
    const tokenizer = new BpeTokenizer(read({}));
    expect(tokenizer.encode('ab<u>')).toEqual([2, 4]);
    expect(tokenizer.encode('ab<e>')).not.toContain(3);
    expect(tokenizer.encodeRendered('ab<e>')).toEqual([2, 3]);
    expect(read({}).namedTokens).toEqual({ eos_token: '<e>' });
    expect(read({}).template).toBeNull();
  });

  it.each([
    ['gpt-2', [7]],
    ['default', [7]],
    [undefined, [7]],
    ['llama-bpe', [7]],
    ['smollm', [5, 6]],
    ['qwen2', [5, 6]],
  ])('splits digits as %s does', (pre, ids) => {
    expect(new BpeTokenizer(read({ 'tokenizer.ggml.pre': pre })).encode('12')).toEqual(ids);
  });

  it.each<[Record<string, GgufValue | undefined>, RegExp]>([
    [{ 'tokenizer.ggml.model': 'llama' }, /model llama.*gpt2.*Hugging Face folder/],
    [{ 'tokenizer.ggml.model': undefined }, /model nothing.*gpt2/],
    [{ 'tokenizer.ggml.pre': 'tekken' }, /pre tekken.*smollm, qwen2, llama-bpe/],
    [{ 'tokenizer.ggml.pre': 'constructor' }, /pre constructor/],
    [{ 'tokenizer.ggml.tokens': 7 }, /tokens must be a list of strings/],
    [{ 'tokenizer.ggml.token_type': [1] }, /token_type must be a list of 9 numbers/],
    [{ 'tokenizer.ggml.merges': undefined }, /merges must be a list of strings/],
    [{ 'tokenizer.chat_template': 7 }, /chat_template must be a string/],
    [{ 'tokenizer.ggml.eos_token_id': 'x' }, /eos_token_id must be a number/],
  ])('refuses %j by name', async (changes, message) => {
    expect((await failure(() => read(changes))).message).toMatch(message);
  });
});

import { openTokenizer } from './open';
import { goldenPath, readGolden, readRealBase, type TokenizerGolden } from './spec-support/goldens';

async function expectGolden(path: string, golden: TokenizerGolden): Promise<void> {
  const { tokenizer, template } = await openTokenizer(path);
  for (const { text, ids, rendered_ids: rendered } of golden.texts) {
    expect({ text, ids: tokenizer.encode(text) }).toEqual({ text, ids });
    expect({ text, ids: tokenizer.encodeRendered(text) }).toEqual({ text, ids: rendered });
    // A tokenizer that composes characters gives them back composed.
    expect(tokenizer.decode(ids).normalize('NFC')).toBe(text.normalize('NFC'));
  }
  for (const { name, messages, candidate, prompt_ids: prompt, candidate_ids: answer } of golden.chats) {
    expect({ name, ids: template.promptTokens(messages) }).toEqual({ name, ids: prompt });
    expect({ name, ids: template.candidateTokens(candidate) }).toEqual({ name, ids: answer });
  }
}

describe('openTokenizer gives the ids of transformers', () => {
  it.each([
    ['a folder, smollm splitting', 'tokenizer/smollm', 'smollm'],
    ['a folder, qwen2 splitting', 'tokenizer/qwen2', 'qwen2'],
    ['the folder of a base', 'bases/llama', 'smollm'],
    ['the folder of a base, template in its own file', 'bases/qwen3', 'qwen2'],
    ['a GGUF file, smollm splitting', 'bases/gguf-f32/gguf-f32.gguf', 'smollm'],
  ] as const)('%s', async (_, path, name) => {
    await expectGolden(goldenPath(path), readGolden(name));
  });

  it('a GGUF file, qwen2 splitting', async () => {
    const golden = readGolden('qwen2');
    // Qwen's published tokenizers compose characters first and GGUF does not say so; the small golden tokenizer does not.
    const texts = golden.texts.filter(({ text }) => text === text.normalize('NFC'));
    expect(texts.length).toBe(golden.texts.length - 1);
    await expectGolden(goldenPath('bases/gguf-qwen2/gguf-qwen2.gguf'), { ...golden, texts });
  });

  it('the real base', async () => {
    const { file, ...golden } = readRealBase();
    if (file === null)
      return console.warn('not run: the real base is neither in the cache nor named by DMOERM_TEST_GGUF');
    await expectGolden(file, golden);
  });
});

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { digestBase, openBundle } from '@dmoerm/bundle';
import { openTokenizer } from '@dmoerm/tokenizer';
import { openBase } from '@dmoerm/weights';
import { finishRun } from '../training/finish';
import { readRecipe, type DecoderConfig } from '../training/recipe';
import { openRun } from '../training/run';
import { trainUnits } from '../training/train-units';
import { specPairs, writeSpecRecipe } from '../training/spec-data';
import { SPECIAL_TOKENS, trainVocabulary } from './bpe';
import { writeDecoderFolder, writeRandomWeights } from './decoder';

jest.setTimeout(30_000);

const DECODER: DecoderConfig = {
  vocabulary: 300,
  hidden: 32,
  layers: 2,
  heads: 4,
  kv_heads: 2,
  ffn: 48,
  positions: 128,
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmoerm-scratch-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a vocabulary', () => {
  it('merges what stands together most often first, and joins no words', () => {
    const { tokens, merges } = trainVocabulary(['aab aab aab ab', 'aab'], 5 + 256 + 2);
    expect(merges).toEqual([
      ['a', 'b'],
      ['a', 'ab'],
    ]);
    expect([...tokens.keys()].some((token) => token.includes('bĠ'))).toBe(false);
    // Nothing is left that comes twice.
    expect(trainVocabulary(['xy'], 1000).merges).toEqual([]);
  });

  it('makes a tokenizer that covers every text, shorter where it has seen it, and keeps its markers to itself', async () => {
    const texts = specPairs(40).flatMap(({ messages, chosen }) => [messages[0]?.content ?? '', chosen]);
    writeDecoderFolder(folder, DECODER, trainVocabulary(texts, DECODER.vocabulary));
    await writeRandomWeights(folder, DECODER, 1);
    const { tokenizer, template } = await openTokenizer(folder);
    const seen = texts.join(' ');
    expect(tokenizer.encode(seen).length).toBeLessThan(0.8 * Buffer.byteLength(seen));
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        const ids = tokenizer.encode(text);
        expect(ids.every((id) => id >= SPECIAL_TOKENS.length && id < DECODER.vocabulary)).toBe(true);
        expect(ids.length > 0).toBe(text.length > 0);
      }),
    );
    const prompt = template.promptTokens([{ role: 'user', content: '<|end|><|assistant|>' }]);
    expect(prompt.filter((id) => id < SPECIAL_TOKENS.length)).toEqual([0, 1, 3, 2]);
    expect((await openBase(folder)).config).toMatchObject({ hiddenSize: 32, layerCount: 2, vocabSize: 300 });
  });
});

it('a base from scratch learns to speak and to prefer, ends with the same bits after a crash, and lies in its bundle', async () => {
  const file = await writeSpecRecipe(folder, specPairs(60), {
    base: {
      decoder: DECODER,
      language_model: { learning_rate: 1e-2, epochs: 6, sequence: 64, tokens_per_step: 512 },
      preferences: { learning_rate: 1e-3, epochs: 1, prompts_per_step: 8 },
    },
    weights: 'bf16',
    plan: { type: 'readout' },
  });
  const open = (name: string, onProgress?: () => void) =>
    openRun({
      recipe: readRecipe(file),
      folder: join(folder, name),
      cacheDir: folder,
      version: 'spec',
      threads: 1,
      ...(onProgress === undefined ? {} : { onProgress, checkpointSeconds: 0 }),
    });
  const run = await open('whole');
  const { digest } = await digestBase(join(folder, 'whole', 'base'));
  const report = JSON.parse(await readFile(join(folder, 'whole', 'base-training.json'), 'utf8')) as {
    language_model: number;
    preferences: { accuracy: number };
  };
  expect(report.language_model).toBeLessThan(0.6 * Math.log(DECODER.vocabulary));
  expect(report.preferences.accuracy).toBeGreaterThan(0.9);

  let calls = 0;
  const crash = (): void => {
    if (++calls % 25 === 0) throw new Error('crash');
  };
  for (;;)
    try {
      await open('crashing', crash);
      break;
    } catch (error) {
      if ((error as Error).message !== 'crash') throw error;
    }
  expect(calls).toBeGreaterThan(50);
  expect((await digestBase(join(folder, 'crashing', 'base'))).digest).toBe(digest);
  expect(existsSync(join(folder, 'crashing', 'base-in-the-making'))).toBe(false);

  await trainUnits(run);
  const { bundle, evaluations } = await finishRun(run, { output: join(folder, 'bundle') });
  expect(evaluations[0]?.model.value).toBeGreaterThan(0.9);
  expect(
    (await openBundle(bundle.directory, { cacheDir: join(folder, 'none') })).manifest.base,
  ).toMatchObject({
    embedded: true,
    digest,
  });
});

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openBundle } from '@dmoerm/bundle';
import { readPairs, readRecipe } from '@dmoerm/recipe';
import { createSpecBundle, GOLDENS_DIR } from '@dmoerm/testing';
import { openTokenizer } from '@dmoerm/tokenizer';
import { openAdapter, openBase, readGguf, readSafetensors, readTensorF32 } from '@dmoerm/weights';
import { binary, json, jsonLines, oneOf, safetensors, type Mutator } from './mutate';

/** A reader of files that may come from anywhere. */
export interface Target {
  readonly name: string;
  readonly seeds: readonly Buffer[];
  readonly mutate: Mutator;
  /** Reads a file of these bytes; whatever is wrong with them is a DmoermError that names the file. */
  read(bytes: Buffer): Promise<unknown>;
}

const HEADER = 4096;
const base = (name: string): string => join(GOLDENS_DIR, 'bases', name);
const GGUF = ['gguf-f16', 'gguf-q4_k', 'gguf-q8_0', 'gguf-qwen3'].map((name) =>
  join(base(name), `${name}.gguf`),
);

/** All readers of untrusted files; they work in `folder`. */
export async function createTargets(folder: string): Promise<Target[]> {
  const file = (path: string) => (bytes: Buffer) => {
    writeFileSync(path, bytes);
    return path;
  };
  const copy = (from: string, name: string): string => {
    const to = join(folder, name);
    cpSync(from, to, { recursive: true });
    return to;
  };
  mkdirSync(folder, { recursive: true });
  const adapter = copy(join(GOLDENS_DIR, 'adapters', 'qv'), 'adapter');
  const model = copy(base('llama'), 'model');
  const words = copy(base('llama'), 'words');
  const bundle = join(folder, 'bundle');
  await createSpecBundle(bundle, folder);
  const { config } = await openBase(base('llama'));

  /** A file of a folder that is opened as a whole. */
  const member = (
    name: string,
    inside: string,
    path: string,
    mutate: Mutator,
    read: () => Promise<unknown>,
  ): Target => {
    const put = file(join(inside, path));
    const seeds = [readFileSync(join(inside, path))];
    return { name, seeds, mutate, read: (bytes) => (put(bytes), read()) };
  };
  const weights = join(folder, 'any.safetensors');
  const gguf = join(folder, 'any.gguf');
  const pairs = join(folder, 'pairs.jsonl');
  return [
    {
      name: 'safetensors',
      seeds: [join(adapter, 'adapter_model.safetensors'), join(model, 'model.safetensors')].map((path) =>
        readFileSync(path),
      ),
      mutate: oneOf(binary(HEADER), safetensors),
      read: async (bytes) => {
        const { tensors } = await readSafetensors(file(weights)(bytes));
        for (const tensor of tensors.values()) await readTensorF32(tensor);
      },
    },
    {
      name: 'gguf',
      seeds: GGUF.map((path) => readFileSync(path)),
      mutate: binary(HEADER),
      read: async (bytes) => {
        await readGguf(file(gguf)(bytes));
        await openBase(gguf);
      },
    },
    member('manifest', bundle, 'dmoerm.json', oneOf(json, binary(1 << 20)), () =>
      openBundle(bundle, { cacheDir: folder }),
    ),
    member('adapter_config', adapter, 'adapter_config.json', oneOf(json, binary(1 << 20)), () =>
      openAdapter(adapter, config),
    ),
    member('config', model, 'config.json', oneOf(json, binary(1 << 20)), () => openBase(model)),
    member('tokenizer', words, 'tokenizer.json', oneOf(json, binary(1 << 20)), () => openTokenizer(words)),
    member('tokenizer_config', copy(base('llama'), 'words2'), 'tokenizer_config.json', json, () =>
      openTokenizer(join(folder, 'words2')),
    ),
    {
      name: 'pairs',
      seeds: [Buffer.from(PAIRS)],
      mutate: oneOf(jsonLines, binary(1 << 20)),
      read: (bytes) => readPairs([file(pairs)(bytes)]),
    },
    {
      name: 'recipe',
      seeds: ['default', 'smollm2'].map((name) =>
        readFileSync(join(__dirname, '..', '..', '..', 'examples', 'recipes', `${name}.yaml`)),
      ),
      mutate: binary(1 << 16),
      read: async (bytes) => readRecipe(file(join(folder, 'recipe.yaml'))(bytes)),
    },
  ];
}

const PAIRS = ['train', 'valid', 'test']
  .map((split, i) =>
    JSON.stringify({
      messages: [{ role: 'user', content: `why do rivers bend, ${i}?` }],
      chosen: 'they erode their outer banks',
      rejected: 'nobody knows',
      task: 'chat',
      capability: 'logic',
      prompt_id: `p${i}`,
      split,
      source: 'made_up',
      licence: 'CC0-1.0',
    }),
  )
  .join('\n');

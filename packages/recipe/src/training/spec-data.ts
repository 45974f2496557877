import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { goldenBase } from '@dmoerm/testing';
import { stringify } from 'yaml';
import { createRandom } from '@dmoerm/core';
import type { PairRecord } from './pairs';

const NOUNS = ['river', 'house', 'song', 'garden', 'winter', 'bridge', 'letter', 'market'];
const VERBS = ['see', 'make', 'find', 'keep', 'lose', 'draw'];

/** Made-up pairs: overall and `polite` prefer the response that says please, `short` the one with fewer words. */
export function specPairs(count: number, task = 'chat'): PairRecord[] {
  const random = createRandom(7);
  const pick = (words: readonly string[]): string => words[Math.floor(random() * words.length)] ?? '';
  const pairs: PairRecord[] = [];
  for (let i = 0; i < count; i++) {
    const messages = [{ role: 'user' as const, content: `How do I ${pick(VERBS)} the ${pick(NOUNS)} ${i}?` }];
    const polite = `please ${pick(VERBS)} it`;
    const rude = `no ${pick(VERBS)} the ${pick(NOUNS)} of the ${pick(NOUNS)} now`;
    const split = i % 5 === 3 ? 'valid' : i % 5 === 4 ? 'test' : 'train';
    const row = {
      messages,
      tie: false,
      task,
      prompt_id: `p${i}`,
      split,
      source: 'made-up',
      licence: 'CC0',
      first_turn_in_train: false,
    } as const;
    pairs.push({ ...row, chosen: polite, rejected: rude });
    pairs.push({ ...row, chosen: polite, rejected: rude, capability: 'polite' });
    if (i % 2 === 0) pairs.push({ ...row, chosen: `${polite} now`, rejected: rude, capability: 'short' });
  }
  return pairs;
}

/** Writes pairs and a recipe for them; gives the recipe's path. */
export async function writeSpecRecipe(
  folder: string,
  pairs: readonly PairRecord[],
  changes: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  await writeFile(join(folder, 'pairs.jsonl'), pairs.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const recipe = {
    name: 'spec',
    base: goldenBase('llama'),
    base_licence: 'Apache-2.0',
    max_tokens: 128,
    weights: 'f32',
    data: { pairs: ['pairs.jsonl'] },
    lora: { rank: 4, alpha: 8, dropout: 0.1 },
    phase2: { learning_rate: 1e-2, epochs: 3, prompts_per_step: 4 },
    phase3: { hidden: 4, heads: 2, epochs: 20, learning_rate: 1e-2, weight_decay: 0 },
    tasks: [{ name: 'chat', capabilities: [{ name: 'polite' }, { name: 'short', question: 'Short' }] }],
    ...changes,
  };
  const file = join(folder, 'recipe.yaml');
  await writeFile(file, stringify(recipe));
  return file;
}

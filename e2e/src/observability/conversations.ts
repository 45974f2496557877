import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '@dmoerm/bundle';

const WORDS = ['river', 'house', 'song', 'garden', 'winter', 'bridge', 'letter', 'stone', 'market', 'cloud'];

/** Files of conversations, by what they are for. */
export interface Conversations {
  /** Of every task, now and then with a candidate that cannot be scored. */
  readonly mixed: string;
  /** With many long candidates. */
  readonly heavy: string;
  /** What no expert has ever been shown. */
  readonly strange: string;
}

/** Writes conversations for the tasks of a bundle. */
export function writeConversations(folder: string, bundle: string): Conversations {
  const { tasks } = JSON.parse(readFileSync(join(bundle, 'dmoerm.json'), 'utf8')) as Manifest;
  const names = tasks.map(({ name }) => name);
  const write = (file: string, lines: readonly object[]): string => {
    const path = join(folder, file);
    writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return path;
  };
  const of = (task: string, i: number, candidates: readonly string[]): object => ({
    id: `${task}-${i}`,
    task,
    messages: [{ role: 'user', content: `Tell me about the ${pick(i)} and the ${pick(i * 3 + 1)}, please.` }],
    candidates,
  });
  const spread = (n: number, make: (task: string, i: number) => object): object[] =>
    Array.from({ length: n }, (_, i) => make(names[i % names.length] ?? '', i));
  return {
    mixed: write(
      'mixed.jsonl',
      spread(40, (task, i) =>
        of(task, i, [
          sentence(i, 12),
          sentence(i * 7 + 1, 5),
          i % 20 === 7 ? '' : sentence(i + 3, 25),
          'No.',
        ]),
      ),
    ),
    heavy: write(
      'heavy.jsonl',
      spread(10, (task, i) =>
        of(
          task,
          i,
          Array.from({ length: 64 }, (_, c) => sentence(i * 64 + c, 60)),
        ),
      ),
    ),
    strange: write(
      'strange.jsonl',
      spread(10, (task, i) =>
        of(
          task,
          i,
          Array.from({ length: 32 }, (_, c) => `${'%$ 0x7f ## '.repeat(4)}${i * c}`),
        ),
      ),
    ),
  };
}

function pick(i: number): string {
  return WORDS[i % WORDS.length] ?? '';
}

function sentence(seed: number, words: number): string {
  return `The ${Array.from({ length: words }, (_, w) => pick(seed * 5 + w * 3 + (seed % 7) * w)).join(' ')}.`;
}

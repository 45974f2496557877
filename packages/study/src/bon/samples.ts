import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { createEngine } from '@dmoerm/engine';
import type { OpenedTokenizer } from '@dmoerm/tokenizer';
import type { BaseModel } from '@dmoerm/weights';
import type { BonSize } from './design';
import type { StudyPrompt } from './prompts';

/** How to sample. */
export interface SampleOptions {
  readonly base: BaseModel;
  readonly opened: OpenedTokenizer;
  readonly size: BonSize;
  readonly threads: number;
  /** Where the responses are kept. */
  readonly file: string;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Prompts at once: what they share is little, but the engine's threads are busy. */
const TOGETHER = 4;

/**
 * Responses of the policy at temperature 1, by prompt: N of each test prompt, two per pair of the others. Drawn once and kept; empty ones
 * are drawn too, and are responses like others.
 */
export async function samplePolicy(
  prompts: readonly StudyPrompt[],
  { base, opened, size, threads, file, onProgress }: SampleOptions,
): Promise<string[][]> {
  if (existsSync(file)) return JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as string[][];
  await using engine = await createEngine(base, { threads });
  const texts: string[][] = [];
  for (let at = 0; at < prompts.length; at += TOGETHER) {
    // Prompts of one kind in a call: it draws as many responses of each.
    const kinds = new Map<
      number,
      { readonly tokens: Int32Array; readonly seed: number; readonly at: number }[]
    >();
    prompts.slice(at, at + TOGETHER).forEach(({ tokens, split }, i) => {
      const count = split === 'test' ? size.samples : 2 * size.pairs;
      kinds.set(count, [...(kinds.get(count) ?? []), { tokens, seed: at + i, at: at + i }]);
    });
    for (const [samples, own] of kinds) {
      const drawn = await engine.generate({
        prompts: own,
        samples,
        maxTokens: size.newTokens,
        stopTokens: [opened.template.endTokenId],
        maxSequences: 128,
      });
      drawn.forEach((completions, i) => {
        texts[own[i]?.at ?? 0] = completions.map(({ tokens }) => opened.tokenizer.decode([...tokens]).trim());
      });
    }
    onProgress?.(Math.min(at + TOGETHER, prompts.length), prompts.length);
  }
  await writeFile(`${file}.tmp`, gzipSync(JSON.stringify(texts)));
  await rename(`${file}.tmp`, file);
  return texts;
}

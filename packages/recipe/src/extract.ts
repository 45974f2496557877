import { join } from 'node:path';
import { sha256 } from '@dmoerm/bundle';
import { invalidArgument } from '@dmoerm/core';
import { createEngine } from '@dmoerm/engine';
import { openTokenizer, type OpenedTokenizer } from '@dmoerm/tokenizer';
import { openBase } from '@dmoerm/weights';
import { EmbeddingCache } from './embeddings';
import { promptGroups, type TaskExamples } from './examples';
import type { ProbeTask } from './taxonomy';

/** Embeddings of one task's examples. */
export interface TaskEmbeddings {
  readonly cache: EmbeddingCache;
  /** By capability, as the bundle will hold them. */
  readonly invocationTokens: readonly (readonly number[])[];
}

/** How to extract. */
export interface ExtractOptions {
  readonly basePath: string;
  readonly baseDigest: string;
  /** Folder of the caches, kept between runs. */
  readonly cacheDir: string;
  readonly threads: number;
  readonly maxTokens: number;
  readonly onProgress?: (label: string, tokens: number, totalTokens: number) => void;
}

/**
 * Token ids that ask a question: what the template puts between a candidate's end and a user's next turn, then the
 * question. Found by rendering a longer conversation, so that it fits any chat template.
 */
export function invocationTokens({ tokenizer, template }: OpenedTokenizer, question: string): number[] {
  const first = { role: 'user', content: 'a' } as const;
  const before = [...template.promptTokens([first]), ...template.candidateTokens('b')];
  const whole = template.promptTokens([
    first,
    { role: 'assistant', content: 'b' },
    { role: 'user', content: question },
  ]);
  const words = tokenizer.encode(question);
  const end = whole.findIndex(
    (_, i) => i >= before.length && words.every((token, j) => whole[i + j] === token),
  );
  const agree = before.every((token, i) => whole[i] === token) && end > 0;
  if (!agree)
    throw invalidArgument(
      'question',
      'BAD_QUESTION',
      `the chat template does not carry the question ${question} unchanged`,
    );
  return whole.slice(before.length, end + words.length);
}

/**
 * Embeddings of all examples, task by task, from one engine; what the caches hold is not computed again.
 */
export async function extractEmbeddings(
  examples: readonly TaskExamples[],
  options: ExtractOptions,
): Promise<Map<string, TaskEmbeddings>> {
  const base = await openBase(options.basePath);
  const opened = await openTokenizer(options.basePath);
  await using engine = await createEngine(base, { threads: options.threads, weightType: 'f32' });
  const d = base.config.hiddenSize;
  const found = new Map<string, TaskEmbeddings>();
  for (const one of examples) {
    const tokens = one.task.capabilities.map(({ question }) => invocationTokens(opened, question));
    const cache = new EmbeddingCache(
      join(options.cacheDir, cacheName(one.task, tokens, opened, options)),
      tokens.length * d,
    );
    const head = { weight: new Float32Array(d), bias: 0 };
    const experts = tokens.map((own) => ({ adapter: null, invocationTokens: own, head }));
    const handle = await engine.addTask({ plan: { type: 'readout' }, taskAdapter: null, experts });
    await cache.fill(promptGroups(one), {
      engine,
      template: opened.template,
      readout: { handle, invocationTokens: tokens },
      maxTokens: options.maxTokens,
      onProgress: (done, total) => options.onProgress?.(one.task.name, done, total),
    });
    await engine.removeTask(handle);
    found.set(one.task.name, { cache, invocationTokens: tokens });
  }
  return found;
}

/** Everything that decides the numbers: other bases, templates or questions have caches of their own. */
function cacheName(
  task: ProbeTask,
  tokens: readonly (readonly number[])[],
  { template }: OpenedTokenizer,
  { baseDigest }: ExtractOptions,
): string {
  return `${task.name}-${sha256(JSON.stringify([baseDigest, template.digest, tokens])).slice(0, 16)}`;
}

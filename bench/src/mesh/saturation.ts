import { performance } from 'node:perf_hooks';
import type { Client, ScoreItem } from '@dmoerm/client';
import type { Model, PreparedItem } from '@dmoerm/model';
import { packBatches } from '@dmoerm/core';
import { makeConversation } from './conversations';

/** The work of one round, in both forms. */
export interface Work {
  readonly items: readonly ScoreItem[];
  /** The same for the engine alone, with the tasks that the router chose. */
  readonly prepared: readonly PreparedItem[];
  /** Rows that the engine computes. */
  readonly tokens: number;
  /** Of the longest conversation, prompt and response. */
  readonly conversationTokens: number;
}

/** Prompt and response have about 256 tokens with the template around them. */
const LARGE = { promptWords: 150, candidates: 4, candidateWords: 60 };
const CALLS_AT_ONCE = 4;
const ITEMS_PER_CALL = 8;

/** Conversations and, from a first pass through the mesh, their tasks. */
export async function prepareWork(client: Client, model: Model, count: number): Promise<Work> {
  const items = Array.from({ length: count }, (_, i) => makeConversation(1_000 + i, LARGE));
  const prepared: PreparedItem[] = [];
  let tokens = 0;
  let conversationTokens = 0;
  for (const item of items) {
    const { task } = await client.route(item.prompt);
    const own = model.prepare(task, { ...item, truncation: 'reject' });
    prepared.push(own);
    tokens += own.engineTokens;
    for (const candidate of own.candidates)
      if (candidate.type === 'tokens') {
        const length = (own.prompts[candidate.prompt]?.length ?? 0) + candidate.tokens.length;
        conversationTokens = Math.max(conversationTokens, length);
      }
  }
  return { items, prepared, tokens, conversationTokens };
}

/** Seconds of the work through the mesh: calls of several items, several at once. */
export async function meshSeconds(client: Client, { items }: Work): Promise<number> {
  const calls = packBatches(items, () => 1, ITEMS_PER_CALL);
  const start = performance.now();
  const work = async (): Promise<void> => {
    for (let call = calls.shift(); call !== undefined; call = calls.shift())
      for (const result of await client.batchScore(call)) {
        if (result.type === 'error') throw result.error;
        for (const candidate of result.candidates) if (candidate.type === 'error') throw candidate.error;
      }
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, work));
  return (performance.now() - start) / 1e3;
}

/** Seconds of the same work by the engine alone, in batches of the expert's budget; texts are tokens already. */
export async function engineSeconds(
  model: Model,
  { prepared }: Work,
  maxBatchTokens: number,
): Promise<number> {
  const start = performance.now();
  for (const batch of packBatches(prepared, ({ engineTokens }) => engineTokens, maxBatchTokens))
    for (const candidate of (await model.evaluate(batch)).items.flat())
      if (candidate.type === 'error') throw candidate.error;
  return (performance.now() - start) / 1e3;
}

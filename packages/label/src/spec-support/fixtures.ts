import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createComparison, type Comparison, type Preference } from '../comparison';
import { createEndpoint } from '../endpoint';
import type { LabellingOptions } from '../labelling';
import type { AskOptions } from '../plan';

/** How specs ask. */
export const ASK: AskOptions = {
  model: 'fake',
  structured: true,
  rationale: false,
  maxTokens: 32,
  maxTokensField: 'max_tokens',
  extra: {},
};

/** Tries that come quickly one after the other. */
export const QUICK = { tries: 8, firstMs: 1, longestMs: 2 };

/** The `i`-th comparison: its second response is better (the larger number), and a person may have said so. */
export function comparisonOf(i: number, human: Preference | null = null): Comparison {
  return createComparison(
    {
      task: 'chat',
      capability: { name: 'logic', definition: 'Follows.' },
      messages: [{ role: 'user', content: `Question ${i}` }],
      responses: [`answer ${2 * i}`, `answer ${2 * i + 1}`],
      promptId: `p${i}`,
      split: 'train',
      source: 'spec',
      licence: 'CC0-1.0',
    },
    human,
  );
}

/** `count` comparisons. */
export function comparisonsOf(count: number, human: Preference | null = null): Comparison[] {
  return Array.from({ length: count }, (_, i) => comparisonOf(i, human));
}

/** A fresh folder. */
export function folder(): string {
  return mkdtempSync(join(tmpdir(), 'dmoerm-label-'));
}

/** Options of a run against `url`, for specs to change. */
export function optionsFor(url: string, changes: Partial<LabellingOptions> = {}): LabellingOptions {
  return {
    comparisons: comparisonsOf(6),
    inputSha256: '0'.repeat(64),
    output: folder(),
    ask: ASK,
    repeatShare: 0,
    price: null,
    endpoint: createEndpoint({ url, apiKey: null, timeoutMs: 2_000 }),
    pace: { requestsPerMinute: null, tokensPerMinute: null, concurrency: 4 },
    retry: QUICK,
    budget: null,
    signal: new AbortController().signal,
    ...changes,
  };
}

/** The records of a file of JSON lines. */
export function readLines(...path: string[]): Record<string, unknown>[] {
  return readFileSync(join(...path), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

import { createHash } from 'node:crypto';
import { prepareItem, type Renderer } from '@dmoerm/model';
import type { OpenedTokenizer } from '@dmoerm/tokenizer';
import { hashFraction } from '@dmoerm/dataset';
import type { PairRecord } from './pairs';

/** A pair as candidates of its group. */
export interface EncodedPair {
  readonly first: number;
  readonly second: number;
  readonly record: PairRecord;
}

/** A prompt with all responses to it that are compared, as tokens. */
export interface EncodedGroup {
  /** Digest of prompt and responses. */
  readonly key: string;
  /** The prompt; more than once if older turns were dropped for a long response. */
  readonly prompts: readonly Int32Array[];
  readonly candidates: readonly { readonly prompt: number; readonly tokens: Int32Array }[];
  /** By learner: what it learns here, the better one first. */
  readonly pairs: ReadonlyMap<number, readonly EncodedPair[]>;
  /** Tokens of prompts and candidates. */
  readonly rows: number;
}

/** Groups, and how many pairs had a response that is too long. */
export interface Encoded {
  readonly groups: readonly EncodedGroup[];
  readonly skipped: number;
}

/** How training texts become tokens: as in serving, with older turns dropped for a long response. */
export function pairRenderer({ template, tokenizer }: OpenedTokenizer, maxTokens: number): Renderer {
  return {
    promptTokens: template.promptTokens,
    candidateTokens: template.candidateTokens,
    renderedTokens: (text) => tokenizer.encodeRendered(text),
    maxTokens,
    cost: (prompt, candidates) => prompt + candidates.reduce((a, b) => a + b, 0),
  };
}

/** Pairs by learner become groups by prompt, in the order of their hashes. */
export function encodePairs(learners: readonly (readonly PairRecord[])[], renderer: Renderer): Encoded {
  const byPrompt = new Map<string, { learner: number; pair: PairRecord }[]>();
  learners.forEach((pairs, learner) => {
    for (const pair of pairs) {
      const key = JSON.stringify(pair.messages);
      const own = byPrompt.get(key);
      if (own === undefined) byPrompt.set(key, [{ learner, pair }]);
      else own.push({ learner, pair });
    }
  });
  let skipped = 0;
  const groups = [...byPrompt]
    .sort(([a], [b]) => hashFraction(a, 'order') - hashFraction(b, 'order') || (a < b ? -1 : 1))
    .map(([key, rows]) => {
      const group = encodeGroup(key, rows, renderer);
      skipped += group.skipped;
      return group;
    });
  return { groups: groups.filter(({ pairs }) => pairs.size > 0), skipped };
}

function encodeGroup(
  key: string,
  rows: readonly { readonly learner: number; readonly pair: PairRecord }[],
  renderer: Renderer,
): EncodedGroup & { readonly skipped: number } {
  const texts = [...new Set(rows.flatMap(({ pair }) => [pair.chosen, pair.rejected]))].sort();
  const messages = rows[0]?.pair.messages ?? [];
  const item = prepareItem(
    { prompt: { type: 'conversation', messages }, candidates: texts, truncation: 'keep_end' },
    renderer,
  );
  const index = new Map<string, number>();
  const candidates: { prompt: number; tokens: Int32Array }[] = [];
  item.candidates.forEach((candidate, i) => {
    if (candidate.type === 'tokens')
      index.set(texts[i] ?? '', candidates.push({ prompt: candidate.prompt, tokens: candidate.tokens }) - 1);
  });
  const pairs = new Map<number, EncodedPair[]>();
  let skipped = 0;
  for (const { learner, pair } of rows) {
    const [first, second] = [index.get(pair.chosen), index.get(pair.rejected)];
    if (first === undefined || second === undefined) {
      skipped++;
      continue;
    }
    const own = pairs.get(learner);
    if (own === undefined) pairs.set(learner, [{ first, second, record: pair }]);
    else own.push({ first, second, record: pair });
  }
  const used = new Set(candidates.map(({ prompt }) => prompt));
  return {
    key: createHash('sha256')
      .update(JSON.stringify([key, texts]))
      .digest('base64url'),
    prompts: item.prompts,
    candidates,
    pairs,
    rows:
      item.prompts.reduce((sum, { length }, i) => sum + (used.has(i) ? length : 0), 0) +
      candidates.reduce((sum, { tokens }) => sum + tokens.length, 0),
    skipped,
  };
}

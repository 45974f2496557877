import { canonicalJson, sha256 } from '@dmoerm/bundle';
import type { Message } from '@dmoerm/core';
import type { Capability } from './taxonomy';

/** Which of a comparison's two responses is better. */
export type Preference = 'first' | 'second' | 'tie';

/** Part of the data that a prompt belongs to. */
export type Split = 'train' | 'valid' | 'test';

/** Where a prompt comes from; labels inherit it. */
export interface Origin {
  readonly promptId: string;
  readonly split: Split;
  readonly source: string;
  readonly licence: string;
}

/** Two different responses to one conversation, compared on one capability. */
export interface Comparison extends Origin {
  /** SHA-256 of all that makes two comparisons the same: task, capability, conversation, responses. */
  readonly key: string;
  readonly task: string;
  readonly capability: Capability;
  readonly messages: readonly Message[];
  /** In an order that depends on the texts alone. */
  readonly responses: readonly [string, string];
  /** What people said about it: one entry per row of input that carried a human label. */
  readonly humans: readonly Preference[];
}

/** Whose comparison it is and what is compared. */
export interface ComparisonParts extends Origin {
  readonly task: string;
  readonly capability: Capability;
  readonly messages: readonly Message[];
  readonly responses: readonly [string, string];
}

/**
 * A comparison. Its two responses are put into the order of their digests, so that neither the order of the input nor (in a pair
 * of chosen and rejected) a human label shows in what is asked, and Cohen's kappa has both answers on both sides.
 * `human`: what people said, in terms of the order given.
 */
export function createComparison(parts: ComparisonParts, human: Preference | null): Comparison {
  const [a, b] = parts.responses;
  const turn = digest(parts, a) > digest(parts, b);
  const responses = turn ? ([b, a] as const) : ([a, b] as const);
  const { task, capability, messages } = parts;
  const key = sha256(canonicalJson({ task, capability, messages, responses }));
  const told = human === null || human === 'tie' || !turn ? human : opposite(human);
  return { ...parts, responses, key, humans: told === null ? [] : [told] };
}

/** The other one; a tie stays a tie. */
export function opposite(preference: Preference): Preference {
  return preference === 'first' ? 'second' : preference === 'second' ? 'first' : 'tie';
}

/** Comparisons with each key once, in the order of their first row, the human labels of all its rows together. */
export function mergeComparisons(comparisons: readonly Comparison[]): Comparison[] {
  const merged = new Map<string, Comparison>();
  for (const comparison of comparisons) {
    const known = merged.get(comparison.key);
    merged.set(
      comparison.key,
      known === undefined ? comparison : { ...known, humans: [...known.humans, ...comparison.humans] },
    );
  }
  return [...merged.values()];
}

function digest({ messages }: ComparisonParts, response: string): string {
  return sha256(canonicalJson({ messages, response }));
}

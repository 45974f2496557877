import type { Message } from '@dmoerm/core';

/** A prompt of a suite with all responses that are scored. */
export interface SuiteItem {
  readonly id: string;
  readonly messages: readonly Message[];
  readonly responses: readonly string[];
}

/** A mean that counts in the overall figure, over clusters that are resampled together. */
export interface Leaf {
  readonly name: string;
  /** Share of the overall figure; those of a suite sum to 1 (a suite of one leaf: 1). */
  readonly weight: number;
  /** Number of clusters. */
  readonly size: number;
  /** The figure over clusters (with repeats, in a bootstrap draw); NaN if it cannot be had. */
  readonly statistic: (clusters: ArrayLike<number>) => number;
}

/** What a suite's rules make of rewards. */
export interface SuiteMeasure {
  readonly leaves: readonly Leaf[];
  /** Further figures, that do not count in the overall one. */
  readonly details: Readonly<Record<string, number>>;
}

/** A public benchmark that was read: what to score and by which rules. */
export interface Suite {
  readonly name: string;
  readonly items: readonly SuiteItem[];
  /** SHA-256 by file name. */
  readonly digests: Readonly<Record<string, string>>;
  /** Rows that the rules leave out, e.g. ties of human votes, by reason. */
  readonly leftOut: Readonly<Record<string, number>>;
  /**
   * Applies the rules. Items without all rewards are no part of any figure: their rewards are null.
   * @param rewards by item, by response.
   */
  measure(rewards: readonly (readonly number[] | null)[]): SuiteMeasure;
}

/** A leaf that is the plain mean of values. */
export function meanLeaf(name: string, weight: number, values: readonly number[]): Leaf {
  return {
    name,
    weight,
    size: values.length,
    statistic: (clusters) => {
      let sum = 0;
      for (let i = 0; i < clusters.length; i++) sum += values[clusters[i] as number] as number;
      return sum / clusters.length;
    },
  };
}

/** A conversation of one user turn. */
export function userPrompt(content: string): Message[] {
  return [{ role: 'user', content }];
}

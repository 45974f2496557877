import type { DmoermError, Prompt, Truncation } from '@dmoerm/core';

/** One prompt and the responses to score. */
export interface ScoreItem {
  readonly prompt: Prompt;
  readonly candidates: readonly string[];
  readonly options?: ScoreOptions;
}

/** How to score; what is left out is the server's default. */
export interface ScoreOptions {
  /** Default `top_1`: the most probable task, or the bundle's fallback. `soft`: the two most probable, weighted. */
  readonly routing?: { readonly type: 'top_1' | 'soft' } | { readonly type: 'forced'; readonly task: string };
  /** Default `learned`. */
  readonly aggregation?:
    | { readonly type: 'learned' | 'mean' | 'worst_case' }
    | { readonly type: 'uncertainty_weighted'; readonly lambda: number };
  /** Default `reject`. */
  readonly truncation?: Truncation;
  /** The revision that must answer, 64 hexadecimal digits. */
  readonly revision?: string;
  /** Capabilities to answer with, in this order; default all. */
  readonly capabilities?: readonly string[];
  /** Default `normal`; `background` lets the normal work of everybody go first, without waiting for ever. */
  readonly priority?: 'normal' | 'background';
}

/** Outcome of one item: a failure has an error, never a number. */
export type ItemResult =
  ({ readonly type: 'scored' } & ScoredItem) | { readonly type: 'error'; readonly error: DmoermError };

/** Scores of one item. */
export interface ScoredItem {
  /** One per candidate, same order. */
  readonly candidates: readonly CandidateResult[];
  /** Null if no candidate could be scored. */
  readonly route: Route | null;
  readonly revision: string;
  readonly timingsNs: Timings;
}

/** Outcome of one candidate. */
export type CandidateResult =
  ({ readonly type: 'score' } & Score) | { readonly type: 'error'; readonly error: DmoermError };

/** A reward and what explains it. */
export interface Score {
  /** Finite; larger is better; comparable within one task and revision. */
  readonly reward: number;
  readonly capabilities: readonly {
    readonly name: string;
    readonly score: number;
    /** How much this expert moved the reward. */
    readonly contribution: number;
  }[];
  /** Standard deviations over the experts' standardised scores and over the aggregator's heads. */
  readonly uncertainty: { readonly experts: number; readonly heads: number };
  /** Tokens of prompt and candidate. */
  readonly tokenCount: number;
  readonly truncated: boolean;
  /** True if a part of the model was missing and a lesser rule gave the reward. */
  readonly degraded: boolean;
}

/** How a conversation was routed. */
export interface Route {
  readonly task: string;
  readonly probability: number;
  /** All tasks, most probable first. */
  readonly distribution: readonly { readonly task: string; readonly probability: number }[];
  readonly fallback: boolean;
}

/** Where the time went, nanoseconds. */
export interface Timings {
  readonly queue: number;
  readonly engine: number;
  readonly aggregate: number;
  readonly total: number;
}

/** The model that serves. */
export interface ModelInfo {
  readonly name: string;
  readonly revision: string;
  /** Digest of the base. */
  readonly base: string;
  readonly tasks: readonly {
    readonly name: string;
    readonly capabilities: readonly string[];
    readonly plan: string;
  }[];
  readonly limits: {
    readonly maxItems: number;
    readonly maxCandidates: number;
    readonly maxTokens: number;
    readonly maxMessageBytes: number;
  };
}

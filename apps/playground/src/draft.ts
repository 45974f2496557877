import type { components } from './gen/api';

/** An item of `POST /v1/score`. */
export type Item = components['schemas']['Item'];
/** A turn of its conversation. */
export type Message = components['schemas']['Message'];

/** A text being written; `key` stays the same while it changes and moves. */
export interface Entry {
  readonly key: number;
  readonly text: string;
}
/** A turn being written. */
export interface Turn extends Entry {
  readonly role: Message['role'];
}

/** How to score. */
export interface Settings {
  /** Null: the router chooses. */
  readonly task: string | null;
  /** Only where the router chooses. */
  readonly routing: NonNullable<Item['routing']>;
  readonly aggregation: NonNullable<Item['aggregation']>;
  /** Weight of the variance; only with `uncertainty_weighted`. */
  readonly lambda: number;
  readonly truncation: NonNullable<Item['truncation']>;
}

/** What the page's editor holds. */
export interface Draft {
  readonly turns: readonly Turn[];
  readonly candidates: readonly Entry[];
  readonly settings: Settings;
}

/** The server's own. */
export const DEFAULTS: Settings = {
  task: null,
  routing: 'top_1',
  aggregation: 'learned',
  lambda: 0.5,
  truncation: 'reject',
};

let lastKey = 0;

/** A text with a key of its own. */
export function entry(text = ''): Entry {
  return { key: ++lastKey, text };
}

/** A draft of a conversation and its candidates. */
export function toDraft(
  messages: readonly Message[],
  candidates: readonly string[],
  settings: Settings,
): Draft {
  return {
    turns: messages.map(({ role, content }) => ({ ...entry(content), role })),
    candidates: candidates.map(entry),
    settings,
  };
}

/** The request for a draft; what is as the server's default is left out. */
export function toItem({ turns, candidates, settings }: Draft): Item {
  const { task, routing, aggregation, lambda, truncation } = settings;
  return {
    messages: turns.map(({ role, text }) => ({ role, content: text })),
    candidates: candidates.map(({ text }) => text),
    ...(task !== null && { task }),
    ...(task === null && routing !== DEFAULTS.routing && { routing }),
    ...(aggregation !== DEFAULTS.aggregation && { aggregation }),
    ...(aggregation === 'uncertainty_weighted' && { lambda }),
    ...(truncation !== DEFAULTS.truncation && { truncation }),
  };
}

/** The role of a turn that follows these. */
export function nextRole(turns: readonly Turn[]): Message['role'] {
  return turns.at(-1)?.role === 'user' ? 'assistant' : 'user';
}

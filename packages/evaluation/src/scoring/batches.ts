import { DmoermError, packBatches, type Message, type Truncation } from '@dmoerm/core';
import type { Model, PreparedItem } from '@dmoerm/model';
import type { ScoreRequest } from './scorer';

/** A prompt with the responses that are missing, ready for the engine. */
export interface Job {
  readonly item: PreparedItem;
  /** One per candidate of the item. */
  readonly keys: readonly string[];
}

/** What is needed to tell what is missing. */
export interface PackOptions {
  readonly model: Model;
  readonly truncation: Truncation;
  readonly keyOf: (task: string, messages: readonly Message[], response: string) => string;
  readonly known: (key: string) => boolean;
}

/** Rows of one engine call: enough to fill the kernels, few enough to save often. */
const BATCH_ROWS = 4096;

/** What is to be scored. */
export interface Work {
  readonly batches: Job[][];
  readonly totalTokens: number;
  /** Conversations that are none, e.g. without a turn: their responses have no score. */
  readonly refused: readonly { readonly keys: readonly string[]; readonly error: DmoermError }[];
}

/**
 * Batches of what is not known yet, within the token budget: each response once per task, a prompt's responses together, in the order
 * asked for. What a response gets does not depend on its batch.
 */
export function packRequests(requests: readonly ScoreRequest[], options: PackOptions): Work {
  const { model, truncation } = options;
  const jobs: Job[] = [];
  const refused: { keys: readonly string[]; error: DmoermError }[] = [];
  for (const { request, responses } of collectMissing(requests, options)) {
    const keys = [...responses.keys()];
    const prompt = { type: 'conversation' as const, messages: request.messages };
    const candidates = [...responses.values()];
    try {
      jobs.push({ item: model.prepare(request.task, { prompt, candidates, truncation }), keys });
    } catch (error) {
      refused.push({ keys, error: DmoermError.from(error) });
    }
  }
  return {
    batches: packBatches(jobs, ({ item }) => item.engineTokens, BATCH_ROWS),
    totalTokens: jobs.reduce((sum, { item }) => sum + item.engineTokens, 0),
    refused,
  };
}

interface Missing {
  readonly request: ScoreRequest;
  /** By key. */
  readonly responses: Map<string, string>;
}

function collectMissing(requests: readonly ScoreRequest[], { keyOf, known }: PackOptions): Missing[] {
  const missing = new Map<string, Missing>();
  for (const request of requests) {
    const { task, messages } = request;
    const prompt = keyOf(task, messages, '');
    for (const response of request.responses) {
      const key = keyOf(task, messages, response);
      if (known(key)) continue;
      const group = missing.get(prompt) ?? { request, responses: new Map<string, string>() };
      group.responses.set(key, response);
      missing.set(prompt, group);
    }
  }
  return [...missing.values()];
}

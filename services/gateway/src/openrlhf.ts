import { invalidArgument } from '@dmoerm/core';
import { toFloatJson } from './answer';
import { capabilityNumbers } from './capability-numbers';
import type { Dialect } from './dialect';
import { splitText } from './text-split';

interface OpenRlhfRequest {
  readonly query: readonly string[];
  readonly prompts?: readonly string[];
}

/** OpenRLHF's `--reward.remote_url`. A query may be empty: of several addresses all but the first get such. */
export const OPENRLHF: Dialect<OpenRlhfRequest> = {
  operationId: 'openrlhf',
  items: ({ query, prompts }, options) => {
    if (prompts !== undefined && prompts.length !== query.length)
      throw invalidArgument(
        'prompts',
        'BAD_REQUEST',
        `prompts must be as many as queries: ${query.length}, not ${prompts.length}; or leave them out`,
      );
    return query.map((text, i) => {
      const { prompt, response } = splitText(text, prompts?.[i] ?? '');
      return { prompt: { type: 'text', text: prompt }, candidates: [response], options };
    });
  },
  field: (_, i) => `query[${i}]`,
  answer: (rewards, model) => {
    const logs = model === null ? [] : rewards.map((one) => capabilityNumbers(model, one));
    return toFloatJson({
      rewards: rewards.map(({ score }) => score.reward),
      scores: rewards.map(({ score }) => squash(score.reward)),
      extra_logs: Object.fromEntries(
        Object.keys(logs[0] ?? {}).map((name) => [name, logs.map((one) => one[name])]),
      ),
    });
  },
};

/** A reward in 0..1 (logistic), for dynamic filtering. */
function squash(reward: number): number {
  return 1 / (1 + Math.exp(-reward));
}

import type { Prompt } from '@dmoerm/core';
import { commonV1, rewardV1 } from '@dmoerm/protos';
import type { ScoreItem, ScoreOptions } from './types';
import { requireWellFormed } from './well-formed';

const ROLES = { system: commonV1.Role.SYSTEM, user: commonV1.Role.USER, assistant: commonV1.Role.ASSISTANT };
const ROUTINGS = {
  top_1: rewardV1.Routing.TOP_1,
  soft: rewardV1.Routing.SOFT,
  forced: rewardV1.Routing.FORCED,
};
const AGGREGATIONS = {
  learned: rewardV1.Aggregation.LEARNED,
  mean: rewardV1.Aggregation.MEAN,
  worst_case: rewardV1.Aggregation.WORST_CASE,
  uncertainty_weighted: rewardV1.Aggregation.UNCERTAINTY_WEIGHTED,
};
const TRUNCATIONS = { reject: commonV1.Truncation.REJECT, keep_end: commonV1.Truncation.KEEP_END };
const PRIORITIES = { normal: commonV1.Priority.NORMAL, background: commonV1.Priority.BACKGROUND };

/** An item as the API takes it; the server checks it. @throws DmoermError for text that has no form on the wire. */
export function toRequest({ prompt, candidates, options = {} }: ScoreItem): rewardV1.ScoreRequest {
  return {
    prompt: toPrompt(prompt),
    candidates: candidates.map((text, i) => requireWellFormed(text, `candidates[${i}]`)),
    options: toOptions(options),
  };
}

/** A prompt as the API takes it. @throws DmoermError for text that has no form on the wire. */
export function toPrompt(prompt: Prompt): NonNullable<rewardV1.ScoreRequest['prompt']> {
  if (prompt.type === 'text') return { $case: 'text', value: requireWellFormed(prompt.text, 'text') };
  const messages = prompt.messages.map(({ role, content }, i) => ({
    role: ROLES[role] ?? commonV1.Role.UNSPECIFIED,
    content: requireWellFormed(content, `messages[${i}].content`),
  }));
  return { $case: 'conversation', value: { messages } };
}

function toOptions(options: ScoreOptions): rewardV1.ScoreOptions {
  const { routing = { type: 'top_1' }, aggregation = { type: 'learned' }, truncation = 'reject' } = options;
  const { priority = 'normal' } = options;
  return {
    routing: ROUTINGS[routing.type],
    task: routing.type === 'forced' ? routing.task : '',
    aggregation: AGGREGATIONS[aggregation.type],
    lambda: aggregation.type === 'uncertainty_weighted' ? aggregation.lambda : undefined,
    truncation: TRUNCATIONS[truncation],
    revision: options.revision ?? '',
    capabilities: [...(options.capabilities ?? [])],
    priority: PRIORITIES[priority],
  };
}

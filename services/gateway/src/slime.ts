import type { Prompt } from '@dmoerm/core';
import type { Message } from '@dmoerm/core';
import { toFloatJson } from './answer';
import { capabilityNumbers } from './capability-numbers';
import type { Dialect } from './dialect';

interface SlimeRequest {
  readonly prompt: string | readonly Message[];
  readonly response: string;
}

/** slime's `--rm-type remote_rm`: the body of the answer is the reward. */
export const SLIME: Dialect<SlimeRequest> = {
  operationId: 'slime',
  items: ({ prompt, response }, options) => [{ prompt: toPrompt(prompt), candidates: [response], options }],
  field: () => 'response',
  answer: ([first]) => toFloatJson(first?.score.reward),
};

/** The same with every capability, for `--reward-key`. */
export const SLIME_MULTI: Dialect<SlimeRequest> = {
  ...SLIME,
  operationId: 'slimeMulti',
  answer: ([first], model) =>
    toFloatJson(
      first !== undefined &&
        model !== null && { reward: first.score.reward, ...capabilityNumbers(model, first) },
    ),
};

function toPrompt(prompt: SlimeRequest['prompt']): Prompt {
  const messages: readonly Message[] =
    typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
  return { type: 'conversation', messages };
}

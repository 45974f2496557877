import { commonV1, rewardV1 } from '@dmoerm/protos';

/** The text of item `n`'s candidate. */
export function simulatedText(n: number): string {
  return `number ${n}`;
}

/** An item of the spec bundle's task `chat`, told apart from all others by its number. */
export function simulatedItem(n: number): rewardV1.ScoreRequest {
  return rewardV1.ScoreRequest.fromPartial({
    prompt: {
      $case: 'conversation',
      value: { messages: [{ role: commonV1.Role.USER, content: 'hello' }] },
    },
    candidates: [simulatedText(n)],
  });
}

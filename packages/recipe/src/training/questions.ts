import { invalidArgument } from '@dmoerm/core';
import type { OpenedTokenizer } from '@dmoerm/tokenizer';

/**
 * Token ids that ask a question: what the template puts between a candidate's end and a user's next turn, then the
 * question. Found by rendering a longer conversation, so that it fits any chat template.
 */
export function invocationTokens({ tokenizer, template }: OpenedTokenizer, question: string): number[] {
  const first = { role: 'user', content: 'a' } as const;
  const before = [...template.promptTokens([first]), ...template.candidateTokens('b')];
  const whole = template.promptTokens([
    first,
    { role: 'assistant', content: 'b' },
    { role: 'user', content: question },
  ]);
  const words = tokenizer.encode(question);
  const end = whole.findIndex(
    (_, i) => i >= before.length && words.every((token, j) => whole[i + j] === token),
  );
  const agree = before.every((token, i) => whole[i] === token) && end > 0;
  if (!agree)
    throw invalidArgument(
      'question',
      'BAD_QUESTION',
      `the chat template does not carry the question ${question} unchanged`,
    );
  return whole.slice(before.length, end + words.length);
}

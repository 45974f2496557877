import { invalidArgument } from './error';

/** Who speaks. */
export type Role = 'system' | 'user' | 'assistant';

/** One turn. */
export interface Message {
  readonly role: Role;
  readonly content: string;
}

/** A prompt: turns for the base's chat template, or text that the caller has rendered already. */
export type Prompt =
  | { readonly type: 'conversation'; readonly messages: readonly Message[] }
  | { readonly type: 'text'; readonly text: string };

/** What to do with a conversation longer than the context: refuse it, or drop whole turns from its start. */
export type Truncation = 'reject' | 'keep_end';

/**
 * Checks a prompt: not empty, a system turn only first, no empty turn, the last turn from the user.
 * @throws DmoermError INVALID_ARGUMENT with the field path, e.g. `messages[1].content`.
 */
export function validatePrompt(prompt: Prompt): void {
  if (prompt.type === 'text') {
    if (prompt.text.length === 0) throw invalidArgument('text', 'EMPTY_PROMPT', 'the prompt text is empty');
    return;
  }
  const { messages } = prompt;
  if (messages.length === 0)
    throw invalidArgument(
      'messages',
      'EMPTY_CONVERSATION',
      'the conversation has no messages; send at least one user message',
    );
  messages.forEach((message, i) => {
    const at = `messages[${i}]`;
    if (!['system', 'user', 'assistant'].includes(message.role))
      throw invalidArgument(`${at}.role`, 'UNKNOWN_ROLE', 'unknown role; use system, user or assistant');
    if (message.role === 'system' && i > 0)
      throw invalidArgument(
        `${at}.role`,
        'SYSTEM_NOT_FIRST',
        'a system message is allowed only as the first message',
      );
    if (message.content.length === 0)
      throw invalidArgument(
        `${at}.content`,
        'EMPTY_MESSAGE',
        'the message is empty; remove it or give it content',
      );
  });
  const last = messages[messages.length - 1];
  if (last?.role !== 'user')
    throw invalidArgument(
      `messages[${messages.length - 1}].role`,
      'LAST_NOT_USER',
      'the last message must be from the user: candidates answer it',
    );
}

/**
 * What a router classifies: what the person says, all turns of it. Answers and instructions would tell the router about
 * the assistant. Text that the caller has rendered has no turns and counts as a whole.
 */
export function routingText(prompt: Prompt): string {
  if (prompt.type === 'text') return prompt.text;
  return prompt.messages.flatMap(({ role, content }) => (role === 'user' ? [content] : [])).join('\n');
}

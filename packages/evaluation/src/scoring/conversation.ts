import { createHash } from 'node:crypto';
import type { Message } from '@dmoerm/core';

/** Digest of a prompt, 43 characters. */
export function promptKey(messages: readonly Message[]): string {
  return digest(turns(messages));
}

/** Digest of everything that a score depends on besides bundle and kernels, 43 characters. */
export function conversationKey(
  task: string,
  truncation: string,
  messages: readonly Message[],
  response: string,
): string {
  return digest([task, truncation, turns(messages), response]);
}

function turns(messages: readonly Message[]): readonly (readonly string[])[] {
  return messages.map(({ role, content }) => [role, content]);
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url');
}

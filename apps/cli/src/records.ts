import { DmoermError, type Message, type Role } from '@dmoerm/core';
import type { ItemResult, ScoreItem } from '@dmoerm/client';
import { z } from 'zod';

const lineSchema = z.strictObject({
  id: z.string().min(1).max(128),
  messages: z.array(z.strictObject({ role: z.string(), content: z.string() })),
  candidates: z.array(z.string()),
  task: z.string().min(1).optional(),
});

/** A line of input: an item, or why the line is none. */
export interface InputRecord {
  readonly id: string;
  readonly item: ScoreItem | DmoermError;
}

/** Parses one JSON line; a bad line becomes an error that names it. */
export function parseRecord(line: string, lineNumber: number): InputRecord {
  const at = `line ${lineNumber}`;
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return { id: at, item: badLine(at, 'is no JSON') };
  }
  const parsed = lineSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const { id } = z
      .looseObject({ id: z.string().catch(at) })
      .catch({ id: at })
      .parse(json);
    return { id, item: badLine(`${at}: ${issue?.path.join('.') ?? ''}`, issue?.message ?? 'is malformed') };
  }
  const { id, messages, candidates, task } = parsed.data;
  // Roles are checked by the service, which names the turn.
  const turns = messages.map(({ role, content }): Message => ({ role: role as Role, content }));
  const item: ScoreItem = { prompt: { type: 'conversation', messages: turns }, candidates };
  return {
    id,
    item: task === undefined ? item : { ...item, options: { routing: { type: 'forced', task } } },
  };
}

function badLine(field: string, what: string): DmoermError {
  return new DmoermError({
    code: 'INVALID_ARGUMENT',
    reason: 'BAD_RECORD',
    field,
    message: `${field} ${what}`,
  });
}

/** Whether an item or one of its candidates has no reward. */
export function hasFailure(result: ItemResult): boolean {
  return result.type === 'error' || result.candidates.some(({ type }) => type === 'error');
}

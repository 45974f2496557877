import { readFile } from 'node:fs/promises';
import { invalidArgument } from '@dmoerm/core';
import { z } from 'zod';

const Row = z.object({
  messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).min(1),
  chosen: z.string().min(1),
  rejected: z.string().min(1),
  task: z.string().optional(),
  tie: z.boolean().default(false),
  split: z.enum(['train', 'valid', 'test']).optional(),
});

/** Two responses to one conversation, the better one first known. Without a split, the conversation decides it. */
export type PairRow = z.infer<typeof Row>;

/**
 * Reads preference pairs of a task, JSON lines `{"messages", "chosen", "rejected", "task"?, "tie"?, "split"?}`; ties and rows of other
 * tasks are left out.
 * @throws DmoermError INVALID_ARGUMENT, reason `BAD_PAIR_RECORD`, naming file, line and field.
 */
export async function readPairsFile(file: string, task: string): Promise<PairRow[]> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines.flatMap((line, i): PairRow[] => {
    if (line.trim() === '') return [];
    const row = parse(line, `${file}:${i + 1}`);
    return row.tie || (row.task !== undefined && row.task !== task) ? [] : [row];
  });
}

function parse(line: string, place: string): PairRow {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw invalidArgument(place, 'BAD_PAIR_RECORD', `${place}: is no JSON`);
  }
  const { data, error } = Row.safeParse(json);
  if (data !== undefined) return data;
  const issue = error.issues[0];
  throw invalidArgument(
    place,
    'BAD_PAIR_RECORD',
    `${place}: ${issue?.path.join('.')}: ${issue?.message ?? 'is malformed'}`,
  );
}

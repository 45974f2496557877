import { readRows } from '@dmoerm/dataset';
import { z } from 'zod';

const rowSchema = z.object({
  messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).min(1),
  chosen: z.string().min(1, 'is empty'),
  rejected: z.string().min(1, 'is empty'),
  task: z.string().optional(),
  tie: z.boolean().default(false),
  split: z.enum(['train', 'valid', 'test']).optional(),
});

/** Two responses to one conversation, the better one first known. Without a split, the conversation decides it. */
export type PairRow = z.infer<typeof rowSchema>;

/**
 * Reads preference pairs of a task, JSON lines `{"messages", "chosen", "rejected", "task"?, "tie"?, "split"?}`, plain or gzip; ties
 * and rows of other tasks are left out.
 * @throws DmoermError NOT_FOUND naming the file; DATA_LOSS, reason `BAD_ROW`, naming file, line and field.
 */
export async function readPairsFile(file: string, task: string): Promise<PairRow[]> {
  const { rows } = await readRows(file, rowSchema, () => null);
  return rows.filter((row) => !row.tie && (row.task === undefined || row.task === task));
}

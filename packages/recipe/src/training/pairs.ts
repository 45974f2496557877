import { createHash } from 'node:crypto';
import { DmoermError, validatePrompt } from '@dmoerm/core';
import { z } from 'zod';
import { readRows, type Split } from '@dmoerm/dataset';

const pairSchema = z.object({
  messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).min(1),
  chosen: z.string().min(1, 'is empty'),
  rejected: z.string().min(1, 'is empty'),
  tie: z.boolean().default(false),
  task: z.string().min(1),
  /** Absent, null or `overall`: a preference over all. */
  capability: z.string().nullish(),
  prompt_id: z.string().min(1),
  split: z.enum(['train', 'valid', 'test']),
  source: z.string().default('unknown'),
  licence: z.string().default('unknown'),
  first_turn_in_train: z.boolean().default(false),
});

/** A pair record (ARCHITECTURE, "Commands and records"): two responses to one prompt, the better one known. */
export type PairRecord = z.infer<typeof pairSchema>;

/** Capability of preferences over all. */
export const OVERALL = 'overall';

/** What a pair compares its responses in. */
export function capabilityOf({ capability }: PairRecord): string {
  return capability ?? OVERALL;
}

/** Pairs of all files, with the digest of each. */
export interface PairFiles {
  readonly pairs: readonly PairRecord[];
  /** SHA-256 by path. */
  readonly digests: Readonly<Record<string, string>>;
}

/**
 * Reads pair records from JSON lines, plain or gzip.
 * @throws DmoermError NOT_FOUND naming the file; DATA_LOSS, field `<file>:<line>`: a malformed row, an empty text, two equal responses,
 *   a prompt in two splits, a pair that an earlier line decides the other way.
 */
export async function readPairs(files: readonly string[]): Promise<PairFiles> {
  const checks = new PairChecks();
  const pairs: PairRecord[] = [];
  const digests: Record<string, string> = {};
  for (const file of files) {
    const { rows, sha256 } = await readRows(file, pairSchema, (row, line) =>
      checks.problem(row, `${file}:${line}`),
    );
    for (const row of rows) pairs.push(row);
    digests[file] = sha256;
  }
  return { pairs, digests };
}

/** What a row may not do to the rows before it. */
class PairChecks {
  private readonly splits = new Map<string, { split: Split; where: string }>();
  private readonly decided = new Map<string, { chosen: string; where: string }>();

  problem(row: PairRecord, where: string): string | null {
    if (row.chosen === row.rejected) return 'chosen and rejected are the same';
    try {
      validatePrompt({ type: 'conversation', messages: row.messages });
    } catch (error) {
      return DmoermError.from(error).message;
    }
    const prompt = digest(JSON.stringify(row.messages));
    const known = this.splits.get(prompt);
    if (known !== undefined && known.split !== row.split)
      return `the prompt is in the split ${row.split} here and in ${known.split} at ${known.where}`;
    this.splits.set(prompt, known ?? { split: row.split, where });
    if (row.tie) return null;
    const sides = [row.chosen, row.rejected].map(digest);
    const key = [prompt, row.task, capabilityOf(row), row.source, ...[...sides].sort()].join(' ');
    const before = this.decided.get(key);
    if (before !== undefined && before.chosen !== sides[0])
      return `${before.where} prefers the other response of this pair`;
    this.decided.set(key, before ?? { chosen: sides[0] ?? '', where });
    return null;
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

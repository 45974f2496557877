import { existsSync, readFileSync } from 'node:fs';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import type { LoadItem, Oracle } from '@dmoerm/load';
import { z } from 'zod';
import { parseRecord } from './records';

/** Conversations to draw from. @throws DmoermError INVALID_ARGUMENT naming the line. */
export function readItems(file: string): LoadItem[] {
  const items = readLines(file).map((line, i) => {
    const { id, item } = parseRecord(line, i + 1);
    if (item instanceof DmoermError) throw item;
    return { id, item };
  });
  if (items.length === 0)
    throw invalidArgument('file', 'NO_ITEMS', `${file} is empty; give at least one conversation`);
  return items;
}

const answerSchema = z.looseObject({
  id: z.string(),
  revision: z.string(),
  candidates: z.array(
    z.union([
      z.looseObject({ reward: z.number() }),
      z.looseObject({ error: z.looseObject({ reason: z.string() }) }),
    ]),
  ),
});

/** Right answers, as `dmoerm score --output jsonl` writes them. @throws DmoermError INVALID_ARGUMENT naming the line. */
export function readOracle(file: string): Oracle {
  const known = new Map<string, (number | string)[]>();
  readLines(file).forEach((line, i) => {
    const { success, data } = answerSchema.safeParse(JSON.parse(line));
    if (!success)
      throw invalidArgument(
        'oracle',
        'BAD_ORACLE',
        `line ${i + 1} of ${file} is no answer of dmoerm score --output jsonl`,
      );
    const values = data.candidates.map((one) => ('reward' in one ? one.reward : one.error.reason));
    known.set(`${data.revision} ${data.id}`, values as (number | string)[]);
  });
  return (id, revision) => known.get(`${revision} ${id}`);
}

function readLines(file: string): string[] {
  if (!existsSync(file)) throw invalidArgument('file', 'FILE_NOT_FOUND', `there is no file ${file}`);
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
}

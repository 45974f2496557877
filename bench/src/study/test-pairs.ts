import { createHash } from 'node:crypto';
import { hashFraction } from '@dmoerm/dataset';
import type { Clustered } from '@dmoerm/evaluation';
import { encodePairs, pairRenderer, type EncodedGroup, type PairRecord, type Run } from '@dmoerm/recipe';
import { SIZE, TASK_NAMES } from './design';

/** A pair of the test split, to be judged by all. */
export interface TestPair {
  readonly group: EncodedGroup;
  readonly first: number;
  readonly second: number;
  readonly record: PairRecord;
}

/** What the report knows of a test pair: no text. */
export interface TestRow extends Clustered {
  /** Which response has more characters: 1 the preferred one, -1 the other, 0 neither. */
  readonly longer: number;
}

/** The test: overall preferences that are no ties and resemble no training prompt, and how many are too long. */
export interface StudyTest {
  readonly pairs: readonly TestPair[];
  readonly groups: readonly EncodedGroup[];
  readonly rows: readonly TestRow[];
  readonly tooLong: number;
}

/** Takes the test pairs, the same ones in the same order for every run. */
export function testPairs(run: Run, pairs: readonly PairRecord[]): StudyTest {
  const own = pairs.filter(
    (row) =>
      row.split === 'test' &&
      !row.tie &&
      !row.first_turn_in_train &&
      (row.capability ?? 'overall') === 'overall' &&
      TASK_NAMES.includes(row.task),
  );
  const { groups, skipped } = encodePairs([limit(own)], pairRenderer(run.opened, SIZE.maxTokens));
  const found = groups.flatMap((group) =>
    (group.pairs.get(0) ?? []).map(({ first, second, record }) => ({ group, first, second, record })),
  );
  return { pairs: found, groups, rows: found.map(({ record }) => toRow(record)), tooLong: skipped };
}

/** The prompts with the smallest hashes of each task and source. */
function limit(rows: readonly PairRecord[]): PairRecord[] {
  const prompts = new Map<string, Set<string>>();
  const keyOf = ({ task, source }: PairRecord): string => `${task}/${source}`;
  for (const row of rows) prompts.set(keyOf(row), (prompts.get(keyOf(row)) ?? new Set()).add(row.prompt_id));
  const kept = new Map(
    [...prompts].map(([key, ids]) => {
      const sorted = [...ids].sort((a, b) => hashFraction(a, 'limit') - hashFraction(b, 'limit'));
      return [key, new Set(sorted.slice(0, SIZE.testPrompts))];
    }),
  );
  return rows.filter((row) => kept.get(keyOf(row))?.has(row.prompt_id));
}

function toRow({ source, task, prompt_id: id, chosen, rejected }: PairRecord): TestRow {
  const prompt = createHash('sha256').update(id).digest('base64url').slice(0, 12);
  return { source, task, prompt_id: prompt, longer: Math.sign(chosen.length - rejected.length) };
}

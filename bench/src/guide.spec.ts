import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { capacityTable } from './capacity/records';
import { costsTable } from './costs/table';
import { ROOT } from './paths';
import type { BenchRecord } from './records';

const guide = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8');

it.each([
  ['costs', costsTable],
  ['capacity', capacityTable],
] as const)("the operator's guide holds the table of the kept records of %s", (name, table) => {
  const records = readFileSync(join(ROOT, 'docs', 'benchmarks', `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as BenchRecord)
    .filter(({ bench }) => bench === name);
  expect(records.length).toBeGreaterThan(0);
  expect(guide).toContain(table(records).join('\n'));
});

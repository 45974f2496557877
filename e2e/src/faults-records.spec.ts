import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FaultRecord, Size } from './faults/figure';
import { FIGURES } from './faults/figures';
import { KeptRecords, readRecords } from './faults/records';
import { DOCUMENT, RECORDS, tableOf, withTable } from './faults/table';

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-records-'));
afterAll(() => rmSync(folder, { recursive: true }));

const [first, second] = FIGURES as unknown as [(typeof FIGURES)[number], (typeof FIGURES)[number]];

function record(id: string, size: Size, outcome: Partial<FaultRecord> = {}): FaultRecord {
  return {
    id,
    holds: true,
    figure: 'a | b',
    control_failed_as_it_must: true,
    control_figure: 'c',
    size,
    seconds: 1,
    machine: { processor: 'p', cores: 2, load: 0 },
    ...outcome,
  };
}

describe('kept records', () => {
  const file = join(folder, 'kept.jsonl');

  it('stay while other figures are measured, in the order of the figures, and are replaced by their own', () => {
    new KeptRecords(file).keep(record('R10', 'full'));
    new KeptRecords(file).keep(record('R2', 'quick'));
    new KeptRecords(file).keep(record('R2', 'full'));
    expect(readRecords(file).map(({ id, size }) => [id, size])).toEqual([
      ['R2', 'full'],
      ['R10', 'full'],
    ]);
  });

  it.each<[string, FaultRecord, Size, boolean]>([
    ['of the same size', record(first.id, 'short'), 'short', true],
    ['of a larger size', record(first.id, 'full'), 'short', true],
    ['of a smaller size', record(first.id, 'short'), 'full', false],
    ['that does not hold', record(first.id, 'full', { holds: false }), 'full', false],
    ['whose control held', record(first.id, 'full', { control_failed_as_it_must: false }), 'full', false],
  ])('make a measurement needless, or not: one %s', (_, kept, size, needless) => {
    new KeptRecords(file).keep(kept);
    expect(new KeptRecords(file).has(first, size)).toBe(needless);
  });
});

describe('the table', () => {
  it('has a row for every figure and says what is missing or bad', () => {
    const table = tableOf([record(first.id, 'full', { holds: false })]);
    expect(table.trim().split('\n')).toHaveLength(2 + FIGURES.length);
    expect(table).toContain('**does not hold**: a \\| b');
    expect(table).toContain(`${second.id} ${second.title} | ${second.threshold} | not measured |`);
  });

  it('of the document is that of the records: npm run faults -- --table', () => {
    const document = readFileSync(DOCUMENT, 'utf8');
    expect(document).toBe(withTable(document, tableOf(readRecords(RECORDS))));
  });
});

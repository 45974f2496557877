import type { BenchRecord } from './records';

/**
 * Records as lines of text: a block per metric, a row per case, a column per peer that holds the peer's figure, the ratio and
 * whether the goal holds.
 */
export function formatTable(records: readonly BenchRecord[]): string[] {
  const blocks = groupBy(records, ({ metric, unit }) => `${metric}, ${unit}`);
  return [...blocks].flatMap(([title, block]) => ['', ...formatBlock(title, block)]);
}

/** What the figures' notes say, each once. */
export function collectNotes(records: readonly BenchRecord[]): string[] {
  return [...new Set(records.flatMap(({ note }) => (note === undefined ? [] : note.split('; '))))];
}

function formatBlock(title: string, records: readonly BenchRecord[]): string[] {
  const peers = [...new Set(records.flatMap(({ peer }) => peer ?? []))];
  const rows = [...groupBy(records, (record) => record.case)].map(([name, row]) => [
    name,
    ownCell(row),
    ...peers.map((peer) => peerCell(row.find((record) => record.peer === peer))),
  ]);
  return align([[title, 'dmoerm', ...peers], ...rows]);
}

function ownCell(row: readonly BenchRecord[]): string {
  const [first] = row;
  if (first === undefined) return '';
  const own = row.find((record) => record.peer === undefined) ?? first;
  return `${formatNumber(own.value)}${own.peer === undefined ? goalMark(own) : ''}`;
}

function peerCell(record: BenchRecord | undefined): string {
  if (record === undefined) return '';
  const { peer_value: value, ratio } = record;
  if (value === undefined || ratio === undefined) return 'peer absent';
  return `${formatNumber(value)}  ${ratio.toFixed(2)} x${goalMark(record)}`;
}

function goalMark({ goal, holds }: BenchRecord): string {
  return goal === undefined ? '' : ` (goal ${goal}: ${holds ? 'holds' : 'missed'})`;
}

/** The first column to the left, figures to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(...rows.map((row) => (row[c] ?? '').length)),
  );
  const cell = (text: string, c: number): string =>
    c === 0 ? text.padEnd(widths[c] ?? 0) : text.padStart(widths[c] ?? 0);
  return rows.map((row) => row.map(cell).join('   ').trimEnd());
}

/** Three digits that count. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return 'n/a';
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}

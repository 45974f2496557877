import type { BenchRecord } from '../records';
import { formatNumber } from '../table';

/** Costs by part as a table in Markdown; what the calls looked like below it. */
export function costsTable(records: readonly BenchRecord[]): string[] {
  const parts = [...new Set(records.filter(({ unit }) => unit === 'µs').map((record) => record.case))];
  const find = (part: string, metric: RegExp): BenchRecord | undefined =>
    records.find((record) => record.case === part && metric.test(record.metric));
  const figure = (record: BenchRecord | undefined): string =>
    record === undefined ? '' : formatNumber(record.value);
  const rows = parts.map((part) => [
    part,
    figure(find(part, /per call$/)),
    figure(find(part, /per candidate$/)),
    figure(find(part, /per token$/)),
    figure(find(part, /^resident/)),
  ]);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(['', 'µs per call', 'µs per candidate', 'µs per token', 'resident MiB']),
    line(['---', '---:', '---:', '---:', '---:']),
    ...rows.map(line),
    '',
    `A call of N candidates is ${figure(find('tokens', /prompt$/))} + ${figure(find('tokens', /candidate$/))} N rows of the engine.`,
  ];
}

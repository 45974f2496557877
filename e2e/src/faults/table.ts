import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isGood, type FaultRecord } from './figure';
import { FIGURES } from './figures';

const ROOT = join(__dirname, '..', '..', '..');
/** The document with the table. */
export const DOCUMENT = join(ROOT, 'docs', 'reliability.md');
/** The records that the table is made of. */
export const RECORDS = join(ROOT, 'docs', 'reliability.jsonl');
const TABLE = /(?<=<!-- records -->\n).*(?=<!-- end of records -->)/s;

/** All figures with their records, as a table in Markdown. */
export function tableOf(records: readonly FaultRecord[]): string {
  const rows = FIGURES.map(({ id, title, threshold }) => {
    const record = records.find((one) => one.id === id);
    const name = `${id} ${title}`;
    if (record === undefined) return [name, threshold, 'not measured', '', '', '', ''];
    const { size, figure, control_figure: control, seconds, machine } = record;
    const verdict = isGood(record) ? '' : record.holds ? '**the control held**: ' : '**does not hold**: ';
    return [name, threshold, size, `${verdict}${figure}`, control, `${seconds} s`, `${machine.load}`];
  });
  const head = ['figure', 'threshold', 'size', 'measured', 'without the defence', 'took', 'load'];
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return `\n${line(head)}${line(head.map(() => '---'))}${rows.map(line).join('')}\n`;
}

/** The document with a table in the place of its own. */
export function withTable(document: string, table: string): string {
  if (!TABLE.test(document))
    throw new Error('there is no place for a table: <!-- records --> and <!-- end of records -->');
  return document.replace(TABLE, () => table);
}

/** Makes the document's table anew. */
export function writeTable(records: readonly FaultRecord[]): void {
  writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, 'utf8'), tableOf(records)));
}

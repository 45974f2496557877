import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { isGood, type FaultRecord, type Figure, type Size } from './figure';

const SIZES: readonly Size[] = ['quick', 'short', 'full'];

/** Records of figures in a file, JSON lines, one per figure: measured one after the other, whenever there is time for it. */
export class KeptRecords {
  private readonly records: Map<string, FaultRecord>;

  /** @param file need not exist. */
  constructor(private readonly file: string) {
    this.records = new Map((existsSync(file) ? readRecords(file) : []).map((one) => [one.id, one]));
  }

  /** Whether a figure has a good record of this size or a larger one. */
  has({ id }: Figure, size: Size): boolean {
    const record = this.records.get(id);
    return record !== undefined && isGood(record) && SIZES.indexOf(record.size) >= SIZES.indexOf(size);
  }

  /** Puts a record in the place of the figure's last one. */
  keep(record: FaultRecord): void {
    this.records.set(record.id, record);
    const number = ({ id }: FaultRecord): number => Number(id.slice(1));
    writeRecords(
      this.file,
      [...this.records.values()].sort((a, b) => number(a) - number(b)),
    );
  }
}

/** The records of a file. */
export function readRecords(file: string): FaultRecord[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as FaultRecord);
}

/** Writes a file of records. */
export function writeRecords(file: string, records: readonly FaultRecord[]): void {
  writeFileSync(file, records.map((one) => `${JSON.stringify(one)}\n`).join(''));
}

import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';

/** One measured figure; the record that scripts read (architecture: "bench" lines). */
export interface BenchRecord {
  readonly bench: string;
  readonly case: string;
  readonly metric: string;
  readonly unit: string;
  readonly value: number;
  readonly peer?: string;
  readonly peer_value?: number;
  /** value / peer_value */
  readonly ratio?: number;
}

/** What the figures were taken on. */
export function describeMachine(): { readonly machine: Readonly<Record<string, string | number>> } {
  return {
    machine: {
      processor: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memory_gib: Math.round(totalmem() / 2 ** 30),
      node: process.version,
    },
  };
}

/** Prints the figures as a table, and writes them as JSON lines after one line about the machine. */
export function report(records: readonly BenchRecord[], jsonFile: string | null): void {
  process.stdout.write(`${describeMachine().machine['processor']}, ${availableParallelism()} cores\n`);
  const rows = records.map((r) => [
    r.case,
    `${round(r.value)} ${r.unit}`,
    r.peer === undefined ? 'peer absent' : `${r.peer} ${round(r.peer_value ?? NaN)} ${r.unit}`,
    r.ratio === undefined ? '' : `${r.ratio.toFixed(2)} x`,
  ]);
  const widths = [0, 1, 2, 3].map((c) => Math.max(...rows.map((row) => (row[c] ?? '').length)));
  for (const row of rows)
    process.stdout.write(
      `${row
        .map((cell, c) => cell.padEnd(widths[c] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
  if (jsonFile !== null)
    writeFileSync(
      jsonFile,
      [describeMachine(), ...records].map((line) => `${JSON.stringify(line)}\n`).join(''),
    );
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Middle value; the mean of the two middle ones for even counts. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return ((sorted[Math.floor(half)] ?? NaN) + (sorted[Math.ceil(half) - 1] ?? NaN)) / 2;
}

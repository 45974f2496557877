import { writeFileSync } from 'node:fs';
import { ratioChart, writeChart, type Chart } from './chart';
import { describeMachine, type Machine } from './machine';
import { progress } from './progress';
import type { BenchRecord } from './records';
import { collectNotes, formatTable } from './table';

/** Load average above which others were at work. */
const BUSY_LOAD = 0.5;

/** Where the figures go besides the terminal. */
export interface OutputOptions {
  /** JSON lines: `{"machine": ...}`, then a record each. */
  readonly json?: string;
  /** SVG; default: beside `json`, if that is there. */
  readonly plot?: string;
}

/** How a bench wants to be reported. */
export interface ReportOptions extends OutputOptions {
  /** Version of each peer that took part. */
  readonly peers?: Readonly<Record<string, string>>;
  /** Lines of text; default: a block per metric. */
  readonly table?: (records: readonly BenchRecord[]) => string[];
  /** Default: bars of the ratios. */
  readonly chart?: (records: readonly BenchRecord[]) => Chart;
}

/** Prints the figures as tables; writes them as JSON lines and as a plot where that is asked for. */
export async function report(records: readonly BenchRecord[], options: ReportOptions = {}): Promise<void> {
  const machine = describeMachine(options.peers);
  process.stdout.write(`${machineLine(machine)}\n`);
  for (const line of (options.table ?? formatTable)(records)) process.stdout.write(`${line}\n`);
  const notes = [...busyNote(machine), ...collectNotes(records)];
  if (notes.length > 0) process.stdout.write(`\n${notes.map((note) => `- ${note}\n`).join('')}`);
  const { json, plot = json?.replace(/(\.jsonl?)?$/, '.svg') } = options;
  if (json !== undefined) {
    writeFileSync(json, [{ machine }, ...records].map((line) => `${JSON.stringify(line)}\n`).join(''));
    progress(`records: ${json}`);
  }
  if (plot !== undefined) {
    await writeChart(plot, (options.chart ?? ratioChart)(records));
    progress(`plot: ${plot}`);
  }
}

/** Peers whose threads wait for each other without sleeping lose most where others want the processor too. */
function busyNote({ load }: Machine): string[] {
  if (load <= BUSY_LOAD) return [];
  return [
    `the machine was busy when this began (load ${load}): ratios to llama.cpp and PyTorch flatter us; measure again`,
  ];
}

function machineLine({ processor, features, cores, memory_gib, load, node, commit, peers }: Machine): string {
  const versions = Object.entries(peers).map(([peer, version]) => `${peer} ${version}`);
  return [
    `${processor} (${features.join(', ')})`,
    `${cores} cores`,
    `${memory_gib} GiB`,
    `load ${load}`,
    `node ${node}`,
    `commit ${commit}`,
    ...versions,
  ].join(', ');
}

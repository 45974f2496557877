import { Command, InvalidArgumentError } from 'commander';
import { examine, isGood, type FaultRecord, type Figure, type Size } from './figure';
import { FIGURES } from './figures';
import { KeptRecords, readRecords, writeRecords } from './records';
import { RECORDS, writeTable } from './table';

interface Options {
  readonly short: boolean;
  readonly full: boolean;
  readonly json?: string;
  readonly keep: boolean;
  readonly table: boolean;
}

const program = new Command('npm run faults --')
  .description(
    'Reliability figures, each with a negative control that must fail. Loopback only; every process is started here.\n' +
      FIGURES.map(({ id, title, threshold }) => `  ${id.padEnd(4)} ${title}: ${threshold}`).join('\n'),
  )
  .argument('[figures]', 'e.g. R1,R7; default all', parseFigures, FIGURES)
  .option('--short', 'all of them within a quarter of an hour (default: quicker still)', false)
  .option('--full', 'as much as the thresholds say; hours', false)
  .option('--json <file>', 'write a record each, JSON lines')
  .option(
    '--keep',
    'put records into docs/reliability.jsonl; leave out figures with a good one of this size',
    false,
  )
  .option(
    '--table',
    'measure nothing: make the table of docs/reliability.md from docs/reliability.jsonl',
    false,
  )
  .showHelpAfterError()
  .action(async (figures: readonly Figure[], { short, full, json, keep, table }: Options) => {
    if (table) return writeTable(readRecords(RECORDS));
    const size: Size = full ? 'full' : short ? 'short' : 'quick';
    const kept = keep ? new KeptRecords(RECORDS) : null;
    const records: FaultRecord[] = [];
    for (const figure of figures.filter((one) => kept?.has(one, size) !== true)) {
      const record = await examine(figure, size);
      records.push(record);
      kept?.keep(record);
      process.stdout.write(
        `${isGood(record) ? 'ok    ' : 'FAILED'} ${record.id.padEnd(4)} ${figure.title}: ${record.figure}\n` +
          `            control: ${record.control_figure}${record.control_failed_as_it_must ? '' : '  PASSED, as it must not'}\n`,
      );
      if (json !== undefined) writeRecords(json, records);
    }
    process.exitCode = records.every(isGood) ? 0 : 1;
  });

function parseFigures(list: string): readonly Figure[] {
  return list.split(',').map((text) => {
    const found = FIGURES.find(({ id }) => id === text.trim().toUpperCase());
    if (found === undefined)
      throw new InvalidArgumentError(`one of ${FIGURES.map(({ id }) => id).join(', ')}, by commas.`);
    return found;
  });
}

program.parseAsync(process.argv).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 2;
});

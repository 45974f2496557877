import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { examine, type FaultRecord, type Figure, type Size } from './figure';
import { FIGURES } from './figures';

interface Options {
  readonly short: boolean;
  readonly full: boolean;
  readonly json?: string;
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
  .showHelpAfterError()
  .action(async (figures: readonly Figure[], { short, full, json }: Options) => {
    const size: Size = full ? 'full' : short ? 'short' : 'quick';
    const records: FaultRecord[] = [];
    for (const figure of figures) {
      const record = await examine(figure, size);
      records.push(record);
      const good = record.holds && record.control_failed_as_it_must;
      process.stdout.write(
        `${good ? 'ok    ' : 'FAILED'} ${record.id.padEnd(4)} ${figure.title}: ${record.figure}\n` +
          `            control: ${record.control_figure}${record.control_failed_as_it_must ? '' : '  PASSED, as it must not'}\n`,
      );
      if (json !== undefined) writeFileSync(json, records.map((one) => `${JSON.stringify(one)}\n`).join(''));
    }
    const bad = records.filter((one) => !one.holds || !one.control_failed_as_it_must);
    process.exitCode = bad.length === 0 ? 0 : 1;
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

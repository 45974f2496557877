import { writeFileSync } from 'node:fs';
import { DmoermError } from '@dmoerm/core';
import { Command, InvalidArgumentError, Option } from 'commander';
import { benchAgreement, type AgreementOptions } from './agreement';
import type { WeightType } from './scorer';
import { formatReport, toRecords } from './table';
import { describeMachine } from '../machine';
import { parseCount } from '../options';

interface AgreementCommandOptions extends Omit<AgreementOptions, 'base' | 'data' | 'types'> {
  readonly data?: string;
  readonly base?: string;
  readonly types: readonly WeightType[];
  readonly json?: string;
}

const NO_DATA =
  'The data is not part of the repository. --data names a folder with preferences, capability_pairs, ratings and routes\n' +
  '(.jsonl.gz) in the format that `dmoerm train` reads (packages/dataset/src/records.ts), made from the public sets that\n' +
  'docs/bundles.md names.\n';

const TYPES: readonly WeightType[] = ['bf16', 'int8', 'stored'];

/** `npm run bench -- agreement`. */
export function agreementCommand(): Command {
  return new Command('agreement')
    .description(
      'What a weight type costs in rewards: scores real preference pairs with float32 and with each type, through a bundle,\n' +
        'and compares. Resumes what an earlier run scored (.tools/bench/agreement). Speed is of this run alone.',
    )
    .option('--data <folder>', 'preferences, capability_pairs, ratings and routes (.jsonl.gz)')
    .option('--pairs <n>', 'size of the sample', parseCount, 2000)
    .option('--max-tokens <n>', 'most tokens of prompt and response together', parseCount, 256)
    .addOption(
      new Option('--types <names>', 'weight types, by commas')
        .argParser(parseTypes)
        .default(TYPES, TYPES.join()),
    )
    .option('--bundle <ref>', 'directory, digest or known name', 'smollm2-135m')
    .option('--base <file>', "another file of the bundle's base, e.g. of another quantisation")
    .option('--isa <name>', 'of the engine', 'auto')
    .option('--threads <n>', 'of the engine; 0: all cores', Number, 0)
    .option('--json <file>', 'write the records here, JSON lines')
    .action(async ({ data, base, json, ...options }: AgreementCommandOptions) => {
      try {
        if (data === undefined) return stop('--data is missing', true);
        const report = await benchAgreement({ ...options, data, base: base ?? null });
        const machine = describeMachine();
        process.stdout.write(
          `${machine.processor} (${machine.features.join(', ')}), commit ${machine.commit}\n${formatReport(report)}\n`,
        );
        if (json !== undefined)
          writeFileSync(
            json,
            [{ machine }, { sample: report.sample }, ...toRecords(report)]
              .map((line) => `${JSON.stringify(line)}\n`)
              .join(''),
          );
      } catch (error) {
        if (!(error instanceof DmoermError)) throw error;
        stop(error.message, error.reason === 'DATA_MISSING');
      }
    });
}

function parseTypes(text: string): WeightType[] {
  return [...new Set(text.split(','))].map((name) => {
    const type = TYPES.find((known) => known === name.trim());
    if (type === undefined) throw new InvalidArgumentError(`of ${TYPES.join(', ')}, separated by commas.`);
    return type;
  });
}

/** Wrong use: says what is missing. */
function stop(message: string, data: boolean): void {
  process.stderr.write(`${message}\n${data ? NO_DATA : ''}`);
  process.exitCode = 2;
}

import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { RUN_NAMES, type StudyRun } from './design';
import { reportStudy } from './report';
import { studyOne } from './run';

interface StudyOptions {
  readonly data?: string;
  readonly runs: readonly StudyRun[];
  readonly output: string;
  readonly work: string;
  readonly threads: number;
}

/** By what a run says of the target, cheap before dear. */
const ORDER =
  'linear_probe:1,single_rm:1,top_layers:1,single_rm:2,top_layers:2,shuffled_capabilities:1,single_rm:3,top_layers:3,' +
  'readout:1,full:1';

/** `npm run bench -- study`. */
export function studyCommand(): Command {
  return new Command('study')
    .description(
      'Mixtures beside single models and ensembles on SmolLM2-135M, on human preferences of five tasks. Trains and judges the\n' +
        'runs that OUTPUT/study lacks, then makes study.json, plots and the tables of study.md from all that are there; without\n' +
        '--data it only does the latter. Hours: a run that was cut off goes on where it was (--work), or with the next task where that\n' +
        'folder is gone.',
    )
    .option('--data <folder>', 'preferences, capability_pairs and routes (.jsonl.gz)')
    .option('--runs <list>', 'NAME:SEED, by commas', parseRuns, parseRuns(ORDER))
    .option('--output <folder>', 'for the report; its folder study holds the results of runs', 'docs')
    .option('--work <folder>', 'checkpoints and caches, some GB', join('runs', 'study'))
    .option('--threads <n>', 'of the engine; 0: all cores', Number, 0)
    .action(async ({ data, runs, output, work, threads }: StudyOptions) => {
      if (data !== undefined)
        for (const run of runs) await studyOne(run, { data, output: join(output, 'study'), work, threads });
      process.stdout.write(`${await reportStudy(output)}\n`);
    });
}

function parseRuns(list: string): StudyRun[] {
  return list.split(',').map((text) => {
    const [name, seed = '1'] = text.trim().split(':');
    const known = RUN_NAMES.find((one) => one === name);
    if (known === undefined || !/^\d+$/.test(seed))
      throw new InvalidArgumentError(`NAME:SEED of ${RUN_NAMES.join(', ')}, separated by commas.`);
    return { name: known, seed: Number(seed) };
  });
}

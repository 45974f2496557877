import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderSvg, type Chart } from '@dmoerm/evaluation';
import {
  bonChart,
  bonTables,
  BON_SIZES,
  RL_SIZES,
  rlChart,
  rlTables,
  rounded,
  studyBon,
  studyRl,
  type StudyOptions,
} from '@dmoerm/study';
import { Option, type Command } from 'commander';
import { createStageProgress } from './progress';

interface StudyCommandOptions {
  readonly data: string;
  readonly base: string;
  readonly size: keyof typeof BON_SIZES;
  readonly output: string;
  readonly work?: string;
  readonly threads: number;
}

/** Arms that the plot shows. */
const SHOWN = ['single', 'ensemble_mean', 'klora_mean', 'dmoerm_top_layers', 'dmoerm_mean', 'dmoerm_uwo'];

/** `dmoerm study ...`. */
export function addStudyCommand(program: Command): void {
  program
    .command('study')
    .description('Studies of what a reward model is worth to those who optimise against it.')
    .addCommand(bonCommand(program))
    .addCommand(rlCommand(program));
}

function bonCommand(program: Command): Command {
  return withOptions(program.createCommand('bon'))
    .summary('best-of-n against reward models of a known gold reward')
    .description(
      'Best-of-n against reward models of a known gold reward. A policy (the base) answers prompts; gold labels pairs of its answers; reward\n' +
        'models, ensembles and mixtures learn from the labels, all of them and with a quarter flipped, and choose the best of n new\n' +
        'answers. Prints tables, and writes curves with intervals: OUTPUT/overoptimisation.json (bon) and a plot. About an hour at full size, two\n' +
        'minutes at quick; a study that was cut off goes on where it was. docs/overoptimisation.md says what was found.',
    )
    .action(async (options: StudyCommandOptions) => {
      const report = await withProgress(options, studyBon);
      await writeReport(options, 'bon', report, bonTables(report), bonChart(report, SHOWN));
    });
}

function rlCommand(program: Command): Command {
  return withOptions(program.createCommand('rl'))
    .summary('reinforcement learning (GRPO) against the same')
    .description(
      'Reinforcement learning against the reward models of `study bon`, which it trains if they are not in --work: the policy learns by GRPO\n' +
        'from each of them, with and without a KL penalty, and gold is measured on the way. Prints tables, and writes\n' +
        'OUTPUT/overoptimisation.json (rl) and a plot. Hours at full size; runs that are done are not made again.',
    )
    .action(async (options: StudyCommandOptions) => {
      const report = await withProgress(options, (own) => studyRl(own, RL_SIZES[options.size]));
      await writeReport(options, 'rl', report, rlTables(report), rlChart(report));
    });
}

function withOptions(command: Command): Command {
  return command
    .requiredOption('--data <file>', 'preference pairs (JSON lines, plain or gzip), for their prompts')
    .option(
      '--base <folder>',
      'the policy, and base of the models: a Hugging Face folder',
      join('bundles', 'default', 'base'),
    )
    .addOption(
      new Option('--size <name>', 'how much of everything').choices(Object.keys(BON_SIZES)).default('full'),
    )
    .option('--output <folder>', 'for the report', join('runs', 'over-optimisation'))
    .option('--work <folder>', 'checkpoints, responses and scores of one size; default OUTPUT/work-SIZE')
    .option('--threads <n>', 'of the engine; 0: all cores', Number, 0);
}

async function withProgress<T>(
  { data, base, size, output, work, threads }: StudyCommandOptions,
  study: (options: StudyOptions) => Promise<T>,
): Promise<T> {
  const progress = createStageProgress('');
  try {
    return await study({
      data,
      basePath: base,
      size: BON_SIZES[size],
      work: work ?? join(output, `work-${size}`),
      threads,
      onStage: progress.message,
      onProgress: progress.update,
    });
  } finally {
    progress.stop();
  }
}

async function writeReport(
  { output }: StudyCommandOptions,
  name: string,
  report: object,
  tables: string,
  chart: Chart,
): Promise<void> {
  mkdirSync(output, { recursive: true });
  const file = join(output, 'overoptimisation.json');
  const others = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as object) : {};
  writeFileSync(file, `${JSON.stringify({ ...others, [name]: report }, rounded, 2)}\n`);
  writeFileSync(join(output, `overoptimisation-${name}.svg`), await renderSvg(chart));
  process.stdout.write(`${tables}\n`);
}

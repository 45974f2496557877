import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderSvg } from '@dmoerm/evaluation';
import { bonChart, bonTables, BON_SIZES, rounded, studyBon } from '@dmoerm/study';
import { Option, type Command } from 'commander';
import { createStageProgress } from './progress';

interface BonCommandOptions {
  readonly data: string;
  readonly base: string;
  readonly size: keyof typeof BON_SIZES;
  readonly output: string;
  readonly work?: string;
  readonly threads: number;
}

/** Arms that the plot shows. */
const SHOWN = ['single', 'ensemble_mean', 'klora_mean', 'dmoerm_top_layers', 'dmoerm_uwo', 'random_routing'];

/** `dmoerm study ...`. */
export function addStudyCommand(program: Command): void {
  program
    .command('study')
    .description('Studies of what the model is worth to those who optimise against it.')
    .addCommand(bonCommand(program));
}

function bonCommand(program: Command): Command {
  return program
    .createCommand('bon')
    .description(
      'Does it resist over-optimisation? A policy (the base) answers prompts; a known gold reward labels pairs of its answers; reward\n' +
        'models, ensembles and mixtures learn from the labels, all of them and with a quarter flipped, and choose the best of n new\n' +
        'answers. Writes over-optimisation curves with intervals: bon.json, bon.md and bon.svg. Hours at full size, a minute at quick; a\n' +
        'study that was cut off goes on where it was (--work). docs/overoptimisation.md says what was found.',
    )
    .requiredOption('--data <file>', 'preference pairs (JSON lines, plain or gzip), for their prompts')
    .option(
      '--base <folder>',
      'the policy, and base of the models: a Hugging Face folder or GGUF file',
      join('bundles', 'default', 'base'),
    )
    .addOption(
      new Option('--size <name>', 'how much of everything').choices(Object.keys(BON_SIZES)).default('full'),
    )
    .option('--output <folder>', 'for the report', join('runs', 'study-bon'))
    .option('--work <folder>', 'checkpoints, responses and scores; default OUTPUT/work')
    .option('--threads <n>', 'of the engine; 0: all cores', Number, 0)
    .action(async ({ data, base, size, output, work, threads }: BonCommandOptions) => {
      const progress = createStageProgress('');
      const report = await studyBon({
        data,
        basePath: base,
        size: BON_SIZES[size],
        work: work ?? join(output, 'work'),
        threads,
        onStage: progress.message,
        onProgress: progress.update,
      }).finally(() => progress.stop());
      mkdirSync(output, { recursive: true });
      writeFileSync(join(output, 'bon.json'), `${JSON.stringify(report, rounded, 2)}\n`);
      const tables = bonTables(report);
      writeFileSync(join(output, 'bon.md'), `${tables}\n`);
      writeFileSync(join(output, 'bon.svg'), await renderSvg(bonChart(report, SHOWN)));
      process.stdout.write(`${tables}\n`);
    });
}

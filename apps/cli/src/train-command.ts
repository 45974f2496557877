import { cachedBasePath, KNOWN_BASES } from '@dmoerm/bundle';
import { invalidArgument } from '@dmoerm/core';
import { trainProbe, trainResearchRouter } from '@dmoerm/recipe';
import type { Command } from 'commander';
import { Option } from 'commander';
import { writeJson } from './json-file';
import { createProgress } from './progress';
import { trainRecipe } from './train-recipe';
import { readSettings } from './settings';

/** Options of `dmoerm train`. */
export interface TrainOptions {
  readonly method: 'probe' | 'research-router';
  readonly data?: string;
  readonly run?: string;
  readonly index?: number;
  readonly list?: boolean;
  readonly output?: string;
  readonly cache: string;
  readonly limit: number;
  readonly threads: number;
  readonly json?: string;
}

/** `dmoerm train RECIPE`, and the methods without a recipe. */
export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .description(
      'Trains a bundle and measures it.\n' +
        'With a recipe (YAML; examples/recipes): adapters of the tasks (phase 1), experts per capability (phase 2), aggregators\n' +
        '(phase 3), router, bundle. All of it lies in the run folder: run.json, metrics.jsonl while it trains, units/TASK/CAPABILITY\n' +
        'with a PEFT adapter each. A run that was killed goes on where it was, with the same bits at the end.\n' +
        'Without one, --method probe (heads, aggregators and router on a frozen base) or research-router (the router on all\n' +
        'routes; prints its test accuracy, keeps no weights).',
    )
    .argument('[recipe]', 'YAML file')
    .option('--run <folder>', 'run folder; default runs/NAME of the recipe')
    .option('--output <folder>', 'new folder of the bundle; default RUN/bundle')
    .option('--index <n>', 'train this unit of the recipe alone and make no bundle (see --list)', Number)
    .option('--list', 'list the units of the recipe and stop')
    .option('--threads <n>', 'threads of the engine; 0: all cores', Number, 0)
    .addOption(
      new Option('--method <name>', 'without a recipe')
        .choices(['probe', 'research-router'])
        .default('probe'),
    )
    .option('--data <folder>', 'preferences, capability_pairs, ratings and routes (.jsonl.gz), for --method')
    .option('--cache <folder>', 'embeddings, kept between runs (probe)', 'runs/embeddings')
    .option('--limit <n>', 'most training prompts per source (probe)', Number, 300)
    .option('--json <file>', 'write the figures here')
    .action(async (recipe: string | undefined, options: TrainOptions) => {
      writeJson(options.json, await train(recipe, options));
    });
}

async function train(recipe: string | undefined, options: TrainOptions): Promise<object> {
  if (recipe !== undefined) return trainRecipe(recipe, options);
  if (options.data === undefined)
    throw invalidArgument('recipe', 'NO_RECIPE', 'name a recipe (YAML), or --data for a method without one');
  return options.method === 'probe' ? probe({ ...options, data: options.data }) : router(options.data);
}

async function probe({
  data,
  output,
  cache,
  limit,
  threads,
}: TrainOptions & { readonly data: string }): Promise<object> {
  if (output === undefined)
    throw invalidArgument('--output', 'NO_OUTPUT', 'a probe makes a bundle: name its new folder');
  const base = KNOWN_BASES['smollm2-135m'];
  if (base === undefined) throw new Error('the base of the probe is not known');
  const { cacheDir } = readSettings();
  const progress = createProgress('embeddings', 'tokens');
  const report = await trainProbe({
    dataDir: data,
    outDir: output,
    embeddingsDir: cache,
    cacheDir,
    base,
    basePath: cachedBasePath(cacheDir, base),
    limit,
    threads,
    seed: 1,
    onProgress: (_, done, total) => progress.update(done, total),
  });
  progress.stop();
  process.stdout.write(`${report.table}\nrevision ${report.revision}\n`);
  return report;
}

async function router(data: string): Promise<object> {
  process.stderr.write('fitting the router on all routes; a few minutes\n');
  const report = await trainResearchRouter(data);
  const { valid, test, macroF1 } = report;
  process.stdout.write(
    `valid ${valid.toFixed(3)}, test ${test.value.toFixed(3)} [${test.low.toFixed(3)}, ${test.high.toFixed(3)}] ` +
      `of ${test.prompts} prompts, macro F1 ${macroF1.toFixed(3)}\n`,
  );
  return report;
}

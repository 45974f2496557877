import { InvalidArgumentError, type Command } from 'commander';
import { writeJson } from './json-file';
import { trainRecipe, type TrainRecipeOptions } from './train-recipe';

/** Where a page is served. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `dmoerm train RECIPE`. */
export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .description(
      'Trains what a recipe (YAML; examples/recipes) describes, and measures it: adapters of the tasks (phase 1), experts per\n' +
        'capability (phase 2), aggregators (phase 3), router, bundle. All of it lies in the run folder: run.json, metrics.jsonl\n' +
        'while it trains, units/TASK/CAPABILITY with a PEFT adapter each. A run that was killed goes on where it was, with the\n' +
        'same bits at the end.',
    )
    .argument('<recipe>', 'YAML file')
    .option('--run <folder>', 'run folder; default runs/NAME of the recipe')
    .option('--output <folder>', 'new folder of the bundle; default RUN/bundle')
    .option('--index <n>', 'train this unit of the recipe alone and make no bundle (see --list)', Number)
    .option('--list', 'list the units of the recipe and stop')
    .option('--threads <n>', 'threads of the engine; 0: all cores', Number, 0)
    .option(
      '--metrics-listen <host:port>',
      'serve the curves while it trains, as /metrics for Prometheus',
      listenAddress,
    )
    .option('--json <file>', 'write the figures here')
    .action(async (recipe: string, options: TrainRecipeOptions & { readonly json?: string }) => {
      writeJson(options.json, await trainRecipe(recipe, options));
    });
}

function listenAddress(text: string): ListenAddress {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined) throw new InvalidArgumentError('It must be HOST:PORT, e.g. 127.0.0.1:9464.');
  return { host, port: Number(port) };
}

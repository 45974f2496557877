import type { WeightType } from '@dmoerm/engine';
import { Command, Option } from 'commander';
import { WEIGHT_TYPES } from '../engine';
import { addCommonOptions, type CommonOptions } from '../options';
import { report } from '../report';
import { benchStart, START_MODELS, type StartModel } from './bench';
import { startChart } from './chart';

interface StartCommandOptions extends CommonOptions {
  readonly models?: readonly StartModel[];
  readonly weights: readonly WeightType[];
}

/** `npm run bench -- start`. */
export function startCommand(): Command {
  const command = new Command('start')
    .description(
      'Time until an engine is ready, without and with packed weights, and the memory of the base and of each further expert\n' +
        '(LoRA on all linears, r=32); every start in a process of its own. Files are in the page cache.',
    )
    .addOption(
      new Option('--models <names...>', 'default: both; with --quick the first').choices(START_MODELS),
    )
    .addOption(
      new Option('--weights <types...>', 'of the engine').choices(WEIGHT_TYPES).default(WEIGHT_TYPES),
    );
  return addCommonOptions(command).action(async (options: StartCommandOptions) => {
    const { quick, threads, weights } = options;
    const records = await benchStart({
      models: options.models ?? (quick ? START_MODELS.slice(0, 1) : START_MODELS),
      weights,
      experts: 4,
      rounds: options.rounds ?? (quick ? 1 : 3),
      threads,
    });
    await report(records, { ...options, chart: startChart });
  });
}

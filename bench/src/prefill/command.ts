import { Command, Option } from 'commander';
import type { WeightType } from '@dmoerm/engine';
import { WEIGHT_TYPES } from '../engine';
import { addCommonOptions, parseCounts, type CommonOptions } from '../options';
import { report } from '../report';
import { benchPrefill } from './bench';
import { prefillChart } from './chart';
import { MODEL_NAMES, type ModelName } from './models';

interface PrefillCommandOptions extends CommonOptions {
  readonly models?: readonly ModelName[];
  readonly weights: readonly WeightType[];
  readonly lengths?: readonly number[];
}

/** `npm run bench -- prefill`. */
export function prefillCommand(): Command {
  const command = new Command('prefill')
    .description(
      'Tokens per second of one sequence: every type of weights beside llama.cpp, ONNX Runtime and transformers, in turns.',
    )
    .addOption(
      new Option('--models <names...>', 'default: both; with --quick the first').choices(MODEL_NAMES),
    )
    .addOption(
      new Option('--weights <types...>', 'of the engine').choices(WEIGHT_TYPES).default(WEIGHT_TYPES),
    )
    .option('--lengths <list>', 'tokens, e.g. 64,512', parseCounts);
  return addCommonOptions(command).action(async (options: PrefillCommandOptions) => {
    const { quick, threads, weights } = options;
    const { records, peers } = await benchPrefill({
      models: options.models ?? (quick ? MODEL_NAMES.slice(0, 1) : MODEL_NAMES),
      lengths: options.lengths ?? (quick ? [128, 512] : [64, 128, 256, 512, 1024, 2048]),
      rounds: options.rounds ?? (quick ? 2 : 3),
      threads,
      weights,
    });
    await report(records, { ...options, peers, chart: prefillChart });
  });
}

import { Command, Option } from 'commander';
import type { WeightType } from '@dmoerm/engine';
import { WEIGHT_TYPES } from '../engine';
import {
  addCommonOptions,
  addGpuOption,
  parseCount,
  parseCounts,
  type CommonOptions,
  type GpuOptions,
} from '../options';
import { report } from '../report';
import { benchPrefill } from './bench';
import { prefillChart } from './chart';
import { MODEL_NAMES, type ModelName } from './models';

interface PrefillCommandOptions extends CommonOptions, GpuOptions {
  readonly models?: readonly ModelName[];
  readonly weights?: readonly WeightType[];
  readonly inFlight?: number;
  readonly lengths?: readonly number[];
}

/** `npm run bench -- prefill`. */
export function prefillCommand(): Command {
  const command = new Command('prefill')
    .description(
      'Tokens per second of one sequence: every type of weights beside llama.cpp, ONNX Runtime and transformers, in turns.',
    )
    .addOption(
      new Option(
        '--models <names...>',
        'default: the first two, with --quick the first; on a GPU the first and the last',
      ).choices(MODEL_NAMES),
    )
    .addOption(
      new Option('--weights <types...>', 'of the engine; default: all, on a GPU bf16').choices(WEIGHT_TYPES),
    )
    .option('--lengths <list>', 'tokens, e.g. 64,512', parseCounts)
    .option(
      '--in-flight <tokens>',
      'as many sequences side by side as make these; default: one sequence, on a GPU 16384',
      parseCount,
    );
  return addGpuOption(addCommonOptions(command)).action(async (options: PrefillCommandOptions) => {
    const { quick, threads, gpu } = options;
    const { records, peers } = await benchPrefill({
      models:
        options.models ?? (gpu ? ['0.5B', '8B, 2 layers'] : quick ? ['0.5B'] : ['0.5B', 'SmolLM2-135M']),
      lengths: options.lengths ?? (quick ? [128, 512] : [64, 128, 256, 512, 1024, 2048]),
      rounds: options.rounds ?? (quick ? 2 : 3),
      threads,
      gpu,
      weights: options.weights ?? (gpu ? ['bf16'] : WEIGHT_TYPES),
      inFlight: options.inFlight ?? (gpu ? 16_384 : 1),
    });
    await report(records, { ...options, peers, chart: prefillChart });
  });
}

import { Command } from 'commander';
import { addCommonOptions, parseCounts, type CommonOptions } from '../options';
import { report } from '../report';
import { benchGenerate } from './bench';
import { generateChart } from './chart';

interface GenerateCommandOptions extends CommonOptions {
  readonly samples?: readonly number[];
}

/** `npm run bench -- generate`. */
export function generateCommand(): Command {
  const command = new Command('generate')
    .description(
      'New tokens per second: completions of one prompt by SmolLM2-135M, sampled at temperature 1, beside llama.cpp with as many\n' +
        'parallel sequences, in turns.',
    )
    .option('--samples <list>', 'completions at once, e.g. 1,64', parseCounts);
  return addCommonOptions(command).action(async (options: GenerateCommandOptions) => {
    const { quick, threads } = options;
    const { records, peers } = await benchGenerate({
      samples: options.samples ?? (quick ? [1, 16] : [1, 8, 64]),
      promptTokens: 128,
      newTokens: quick ? 32 : 128,
      rounds: options.rounds ?? (quick ? 2 : 3),
      threads,
    });
    await report(records, { ...options, peers, chart: generateChart });
  });
}

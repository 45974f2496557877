import { Command } from 'commander';
import { addCommonOptions, type CommonOptions } from '../options';
import { report } from '../report';
import { benchTrain } from './bench';

/** `npm run bench -- train`. */
export function trainCommand(): Command {
  const command = new Command('train').description(
    'A training step on SmolLM2-135M in bfloat16: one expert with q and v adapted, all parameters, and K=5 experts on the same\n' +
      'pairs in every sharing plan, beside transformers + PEFT training one adapter after another.',
  );
  return addCommonOptions(command).action(async (options: CommonOptions) => {
    const { quick, threads } = options;
    const { records, peers } = await benchTrain({
      prompts: quick ? 4 : 8,
      rounds: options.rounds ?? (quick ? 2 : 3),
      threads,
    });
    await report(records, { ...options, peers });
  });
}

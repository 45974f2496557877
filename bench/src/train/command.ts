import { Command } from 'commander';
import { addCommonOptions, addGpuOption, type CommonOptions, type GpuOptions } from '../options';
import { report } from '../report';
import { benchTrain } from './bench';

/** `npm run bench -- train`. */
export function trainCommand(): Command {
  const command = new Command('train').description(
    'A training step on SmolLM2-135M (on a GPU: a random 0.5B base) in bfloat16: one expert with q and v adapted, all parameters, and K=5 experts on the same\n' +
      'pairs in every sharing plan, beside transformers + PEFT training one adapter after another.',
  );
  return addGpuOption(addCommonOptions(command)).action(async (options: CommonOptions & GpuOptions) => {
    const { quick, threads, gpu } = options;
    const { records, peers } = await benchTrain({
      prompts: gpu ? 32 : quick ? 4 : 8,
      rounds: options.rounds ?? (quick ? 2 : 3),
      threads,
      gpu,
    });
    await report(records, { ...options, peers });
  });
}

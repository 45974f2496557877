import { Command } from 'commander';
import { addCommonOptions, type CommonOptions } from '../options';
import { report } from '../report';
import { benchGemm } from './bench';
import { gemmChart } from './chart';

interface GemmCommandOptions extends CommonOptions {
  readonly isa: string;
}

/** `npm run bench -- gemm`. */
export function gemmCommand(): Command {
  const command = new Command('gemm')
    .description(
      "Matrix products in float32, bfloat16 and 8 bits as shares of the machine's own peak, beside oneDNN.",
    )
    .option('--isa <name>', 'instruction set of the engine', 'auto');
  return addCommonOptions(command).action(async (options: GemmCommandOptions) => {
    const args = ['--threads', `${options.threads}`, '--isa', options.isa];
    if (options.quick) args.push('--quick');
    if (options.rounds !== undefined) args.push('--rounds', `${options.rounds}`);
    await report(await benchGemm(args), { ...options, chart: gemmChart });
  });
}

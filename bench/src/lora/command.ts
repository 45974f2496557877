import type { WeightType } from '@dmoerm/engine';
import { Command, Option } from 'commander';
import { WEIGHT_TYPES } from '../engine';
import { addCommonOptions, addGpuOption, type CommonOptions, type GpuOptions } from '../options';
import { report } from '../report';
import { benchLora } from './bench';
import { CASES, GPU_CASES, QUICK_CASES, QUICK_GPU_CASES } from './cases';
import { loraChart } from './chart';

interface LoraCommandOptions extends CommonOptions, GpuOptions {
  readonly weights: WeightType | 'auto';
}

/** `npm run bench -- lora`. */
export function loraCommand(): Command {
  const command = new Command('lora')
    .description(
      'What the adapters of K experts cost on top of K passes of the plain base in the same engine, against K, N and tokens,\n' +
        'beside the operations that they add.',
    )
    .addOption(
      new Option('--weights <type>', 'of the engine').choices(['auto', ...WEIGHT_TYPES]).default('auto'),
    );
  return addGpuOption(addCommonOptions(command)).action(async (options: LoraCommandOptions) => {
    const { quick, threads, weights, gpu } = options;
    const records = await benchLora({
      cases: gpu ? (quick ? QUICK_GPU_CASES : GPU_CASES) : quick ? QUICK_CASES : CASES,
      gpu,
      weights,
      rounds: options.rounds ?? (quick ? 3 : 5),
      threads,
    });
    await report(records, { ...options, chart: loraChart });
  });
}

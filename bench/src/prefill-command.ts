import { Command, Option } from 'commander';
import { benchPrefill, type PrefillOptions } from './prefill';
import { report } from './report';

interface PrefillCommandOptions {
  readonly quick: boolean;
  readonly threads: number;
  readonly weights: PrefillOptions['weightType'];
  readonly isa: PrefillOptions['isa'];
  readonly json?: string;
}

/** `npm run bench -- prefill`. */
export function prefillCommand(): Command {
  return new Command('prefill')
    .description(
      'Tokens per second of SmolLM2-135M, engine and transformers (float32) in turns.\n' +
        'The peer needs DMOERM_PEER_PYTHON: an interpreter with tools/goldens/requirements.txt installed.',
    )
    .argument('<base>', 'GGUF file of the base, e.g. from `npx dmoerm base pull smollm2-135m`')
    .option('--quick', 'fewer rounds', false)
    .option('--threads <n>', 'threads of both', Number, 2)
    .addOption(new Option('--weights <type>', 'of the engine').choices(['f32', 'bf16']).default('f32'))
    .addOption(
      new Option('--isa <name>', 'of the engine')
        .choices(['auto', 'reference', 'avx2', 'avx512', 'avx512_bf16'])
        .default('auto'),
    )
    .option('--json <file>', 'write the records here, JSON lines')
    .action(async (base: string, options: PrefillCommandOptions) => {
      const lengths = options.quick ? [128, 512] : [64, 128, 256, 512, 1024];
      const records = await benchPrefill({
        base,
        lengths,
        threads: options.threads,
        weightType: options.weights,
        isa: options.isa,
        rounds: options.quick ? 1 : 3,
      });
      await report(records, options);
    });
}

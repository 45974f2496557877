import { Command } from 'commander';
import { benchPrefill } from './prefill';
import { report } from './records';

const program = new Command('npm run bench --')
  .description(
    'Measures the engine beside its peers in one run. Prints a table; --json also writes the records.',
  )
  .showHelpAfterError();

program
  .command('prefill')
  .description(
    'Tokens per second of SmolLM2-135M in float32, engine and transformers in turns.\n' +
      'The peer needs DMOERM_PEER_PYTHON: an interpreter with tools/goldens/requirements.txt installed.',
  )
  .argument('<base>', 'GGUF file of the base, e.g. from `npx dmoerm base pull smollm2-135m`')
  .option('--quick', 'fewer rounds', false)
  .option('--threads <n>', 'threads of both', Number, 2)
  .option('--json <file>', 'write the records here, JSON lines')
  .action(async (base: string, options: { quick: boolean; threads: number; json?: string }) => {
    const lengths = options.quick ? [128, 512] : [64, 128, 256, 512, 1024];
    const records = await benchPrefill({
      base,
      lengths,
      threads: options.threads,
      rounds: options.quick ? 1 : 3,
    });
    report(records, options.json ?? null);
  });

program.parseAsync(process.argv).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

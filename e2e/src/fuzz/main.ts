import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';
import { fuzz } from './fuzz';
import { createTargets } from './targets';

interface Options {
  readonly seconds: number;
  readonly seed: number;
  readonly findings: string;
}

new Command('npm run fuzz --')
  .description(
    'Gives the readers of files mutated inputs: each must be read, or refused with an error that names the file.',
  )
  .argument('[targets]', 'names, by commas; default all')
  .option('--seconds <n>', 'per target', positive, 60)
  .option('--seed <n>', 'equal seeds give the same inputs', Number, Date.now() % 1e9)
  .option('--findings <folder>', 'for inputs that did what none may do', join('runs', 'fuzz'))
  .showHelpAfterError()
  .action(async (list: string | undefined, { seconds, seed, findings: kept }: Options) => {
    const folder = mkdtempSync(join(tmpdir(), 'dmoerm-fuzz-'));
    let failed = 0;
    let passed = 0;
    try {
      const all = await createTargets(folder);
      const names = list?.split(',');
      const unknown = names?.find((name) => !all.some((target) => target.name === name));
      if (unknown !== undefined)
        throw new Error(`there is no target ${unknown}; there are ${all.map(({ name }) => name).join(', ')}`);
      process.stdout.write(`seed ${seed}\n`);
      for (const target of all.filter(({ name }) => names?.includes(name) ?? true)) {
        const result = await fuzz(target, seed, (_, elapsed) => elapsed >= seconds);
        const { inputs, accepted, reasons, findings } = result;
        process.stdout.write(
          `${target.name.padEnd(17)} ${inputs} inputs, ${(inputs / result.seconds).toFixed(0)}/s, ${accepted} accepted, ` +
            `${reasons} kinds of refusal, ${findings.length} findings\n`,
        );
        for (const { problem, bytes } of findings) {
          mkdirSync(kept, { recursive: true });
          const path = join(
            kept,
            `${target.name}-${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}`,
          );
          writeFileSync(path, bytes);
          process.stdout.write(`  ${path}: ${problem}\n`);
        }
        if (findings.length > 0) failed++;
        else passed++;
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    process.stdout.write(`${passed} passed, ${failed} failed\n`);
    process.exitCode = failed === 0 ? 0 : 1;
  })
  .parseAsync(process.argv)
  .catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  });

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('a number above 0.');
  return value;
}

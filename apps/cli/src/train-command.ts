import { cachedBasePath, KNOWN_BASES } from '@dmoerm/bundle';
import { invalidArgument } from '@dmoerm/core';
import { trainProbe, trainResearchRouter } from '@dmoerm/recipe';
import type { Command } from 'commander';
import { Option } from 'commander';
import { writeJson } from './json-file';
import { createProgress } from './progress';
import { readSettings } from './settings';

interface TrainOptions {
  readonly method: 'probe' | 'research-router';
  readonly data: string;
  readonly output?: string;
  readonly cache: string;
  readonly limit: number;
  readonly threads: number;
  readonly json?: string;
}

/** `dmoerm train --method probe | research-router`. */
export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .description(
      'Trains and measures. probe: heads, aggregators and router on a frozen base, made into a bundle from rows that may be\n' +
        'shipped; resumes what an earlier run computed. research-router: the router on all routes; prints its test accuracy,\n' +
        'keeps no weights.',
    )
    .addOption(new Option('--method <name>', 'how').choices(['probe', 'research-router']).default('probe'))
    .requiredOption('--data <folder>', 'preferences, capability_pairs, ratings and routes (.jsonl.gz)')
    .option('--output <folder>', 'new folder of the bundle (probe)')
    .option('--cache <folder>', 'embeddings, kept between runs (probe)', 'runs/embeddings')
    .option('--limit <n>', 'most training prompts per source (probe)', Number, 300)
    .option('--threads <n>', 'threads of the engine; 0: all cores (probe)', Number, 0)
    .option('--json <file>', 'write the figures here')
    .action(async (options: TrainOptions) => {
      const report = options.method === 'probe' ? await probe(options) : await router(options.data);
      writeJson(options.json, report);
    });
}

async function probe({ data, output, cache, limit, threads }: TrainOptions): Promise<object> {
  if (output === undefined)
    throw invalidArgument('--output', 'NO_OUTPUT', 'a probe makes a bundle: name its new folder');
  const base = KNOWN_BASES['smollm2-135m'];
  if (base === undefined) throw new Error('the base of the probe is not known');
  const { cacheDir } = readSettings();
  const progress = createProgress('embeddings', 'tokens');
  const report = await trainProbe({
    dataDir: data,
    outDir: output,
    embeddingsDir: cache,
    cacheDir,
    base,
    basePath: cachedBasePath(cacheDir, base),
    limit,
    threads,
    seed: 1,
    onProgress: (_, done, total) => progress.update(done, total),
  });
  progress.stop();
  process.stdout.write(`${report.table}\nrevision ${report.revision}\n`);
  return report;
}

async function router(data: string): Promise<object> {
  process.stderr.write('fitting the router on all routes; a few minutes\n');
  const report = await trainResearchRouter(data);
  const { valid, test, macroF1 } = report;
  process.stdout.write(
    `valid ${valid.toFixed(3)}, test ${test.value.toFixed(3)} [${test.low.toFixed(3)}, ${test.high.toFixed(3)}] ` +
      `of ${test.prompts} prompts, macro F1 ${macroF1.toFixed(3)}\n`,
  );
  return report;
}

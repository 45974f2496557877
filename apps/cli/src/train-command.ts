import { cachedBasePath, KNOWN_BASES } from '@dmoerm/bundle';
import { trainProbe } from '@dmoerm/recipe';
import type { Command } from 'commander';
import { Option } from 'commander';
import { createProgress } from './progress';
import { readSettings } from './settings';

/** `dmoerm train --method probe`. */
export function addTrainCommand(program: Command): void {
  program
    .command('train')
    .description(
      'Fits heads, aggregators and router on a frozen base and makes a bundle. Resumes what an earlier run computed.',
    )
    .addOption(new Option('--method <name>', 'how').choices(['probe']).default('probe'))
    .requiredOption('--data <folder>', 'preferences, capability_pairs, ratings and routes (.jsonl.gz)')
    .requiredOption('--output <folder>', 'new folder of the bundle')
    .option('--cache <folder>', 'embeddings, kept between runs', 'runs/embeddings')
    .option('--limit <n>', 'most training prompts per source', Number, 300)
    .option('--threads <n>', 'threads of the engine; 0: all cores', Number, 0)
    .action(
      async (options: { data: string; output: string; cache: string; limit: number; threads: number }) => {
        const base = KNOWN_BASES['smollm2-135m'];
        if (base === undefined) return;
        const { cacheDir } = readSettings();
        const progress = createProgress('embeddings', 'tokens');
        const report = await trainProbe({
          dataDir: options.data,
          outDir: options.output,
          embeddingsDir: options.cache,
          cacheDir,
          base,
          basePath: cachedBasePath(cacheDir, base),
          limit: options.limit,
          threads: options.threads,
          seed: 1,
          onProgress: (_, done, total) => progress.update(done, total),
        });
        progress.stop();
        process.stdout.write(`${report.table}\nrevision ${report.revision}\n`);
      },
    );
}

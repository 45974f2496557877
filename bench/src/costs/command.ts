import { Command } from 'commander';
import { addCommonOptions, parseCount, type CommonOptions } from '../options';
import { report } from '../report';
import { costRecords } from './fit';
import { costsChart } from './chart';
import { PARTS, measureCosts } from './measure';
import { costsTable } from './table';

/** `npm run bench -- costs`. */
export function costsCommand(): Command {
  const command = new Command('costs')
    .description(
      'Processor time of caller, router, expert and aggregator per call and per candidate or token, from the load generator on a mesh on\n' +
        "loopback and the processes' own counters. What `capacity` plans with. Processor time bears a busy machine better than clocks do.",
    )
    .option('--bundle <ref>', 'directory, digest or known name', 'default')
    .option('--seed <n>', 'equal seeds send the same at the same times', parseCount, 1);
  return addCommonOptions(command).action(
    async (options: CommonOptions & { bundle: string; seed: number }) => {
      const { bundle, quick, seed } = options;
      const samples = await measureCosts({ bundle, threads: 1, seconds: quick ? 5 : 30, seed });
      const note =
        'one thread of the engine; a line through calls of 1, 4, 16 and 32 candidates at 60 % of what it can do';
      await report(costRecords(samples, PARTS, { bundle, note }), {
        ...options,
        table: costsTable,
        chart: costsChart,
      });
    },
  );
}

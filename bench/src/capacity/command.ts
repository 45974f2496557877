import { Command } from 'commander';
import { join } from 'node:path';
import { addOutputOptions, parseCount } from '../options';
import { ROOT } from '../paths';
import { progress } from '../progress';
import { report, type OutputOptions } from '../report';
import { capacityChart } from './chart';
import { readCosts } from './costs';
import { capacityRecords, capacityTable } from './records';
import { scenarios } from './scenarios';
import { simulate } from './simulate';

interface CapacityOptions extends OutputOptions {
  readonly costs: string;
  readonly candidates: number;
  readonly experts: number;
  readonly perCall: number;
  readonly cores: number;
  readonly network: number;
  readonly seconds: number;
  readonly seed: number;
}

/** The expert's own defaults. */
const LIMITS = { maxBatchTokens: 4_096, maxQueueTokens: 131_072 };

/** `npm run bench -- capacity`. */
export function capacityCommand(): Command {
  const command = new Command('capacity')
    .description(
      'Simulates meshes that no single machine can run, event by event, with the costs that `costs` has measured: latency, how busy all parts\n' +
        'are, and how many of each a load takes. The same for the same seed.',
    )
    .option(
      '--costs <file>',
      'records of `npm run bench -- costs`',
      join(ROOT, 'docs', 'benchmarks', 'costs.jsonl'),
    )
    .option('--candidates <n>', 'candidates a second to plan for', parseCount, 1_000_000)
    .option('--experts <n>', 'experts to plan with', parseCount, 1_000)
    .option('--per-call <n>', 'candidates of a call, those of one prompt', parseCount, 16)
    .option('--cores <n>', 'cores of an expert', parseCount, 2)
    .option('--network <us>', 'one way between two services, microseconds', parseCount, 250)
    .option('--seconds <n>', 'simulated time', parseCount, 5)
    .option('--seed <n>', 'equal seeds give equal results', parseCount, 1);
  return addOutputOptions(command).action(async (options: CapacityOptions) => {
    const { candidates, experts, perCall, cores, network, seconds, seed } = options;
    const costs = readCosts(options.costs);
    const setting = { costs, ...LIMITS, networkSeconds: network / 1e6, seconds, seed };
    const target = { candidatesPerS: candidates, experts, candidatesPerCall: perCall, cores };
    const records = scenarios(costs, target).flatMap((scenario) => {
      progress(scenario.name);
      return capacityRecords(scenario, simulate(scenario.plan, setting), setting);
    });
    await report(records, { ...options, table: capacityTable, chart: capacityChart });
  });
}

import { Command, Option } from 'commander';
import type { WeightType } from '@dmoerm/engine';
import { WEIGHT_TYPES } from '../engine';
import {
  addCommonOptions,
  addGpuOption,
  parseCount,
  parseCounts,
  type CommonOptions,
  type GpuOptions,
} from '../options';
import { report } from '../report';
import { benchPlans } from './bench';
import { plansChart } from './chart';
import { GOAL_CASE } from './goals';
import { PLANS, QUICK_PLANS, type PlanCase } from './work';

interface PlansCommandOptions extends CommonOptions, GpuOptions {
  readonly experts?: readonly number[];
  readonly candidates?: readonly number[];
  readonly promptTokens: number;
  readonly candidateTokens: number;
  readonly weights: WeightType | 'auto';
}

/** Time for a peer in a case, all rounds together, seconds. */
const PEER_SECONDS = 60;
const QUICK_PEER_SECONDS = 5;

/** `npm run bench -- plans`. */
export function plansCommand(): Command {
  const command = new Command('plans')
    .description(
      'Scores per second of K experts (LoRA q, v, r=32) on N candidates of one prompt, on the 0.5B base: every sharing plan beside\n' +
        'its naive loop, llama.cpp (a context per expert) and PEFT. --quick: K=5, N=8 alone.',
    )
    .option('--experts <list>', 'K, e.g. 1,2,5,8', parseCounts)
    .option('--candidates <list>', 'N, e.g. 1,4,8,16', parseCounts)
    .option('--prompt-tokens <n>', 'of the prompt', parseCount, GOAL_CASE.promptTokens)
    .option('--candidate-tokens <n>', 'of each candidate', parseCount, GOAL_CASE.candidateTokens)
    .addOption(
      new Option('--weights <type>', 'of the engine').choices(['auto', ...WEIGHT_TYPES]).default('auto'),
    );
  return addGpuOption(addCommonOptions(command)).action(async (options: PlansCommandOptions) => {
    const { quick, threads, weights, gpu } = options;
    const rounds = options.rounds ?? (quick ? 1 : 3);
    const { records, peers } = await benchPlans({
      cases: casesOf(options),
      plans: quick ? QUICK_PLANS : PLANS,
      weights,
      rounds,
      budgetSeconds: (quick ? QUICK_PEER_SECONDS : PEER_SECONDS) / rounds,
      threads,
      gpu,
    });
    await report(records, { ...options, peers, chart: plansChart });
  });
}

function casesOf(options: PlansCommandOptions): PlanCase[] {
  const { promptTokens, candidateTokens, quick } = options;
  const experts = options.experts ?? (quick ? [GOAL_CASE.experts] : [1, 2, 5, 8]);
  const candidates = options.candidates ?? (quick ? [GOAL_CASE.candidates] : [1, 4, 8, 16]);
  return experts.flatMap((k) =>
    candidates.map((n) => ({ experts: k, candidates: n, promptTokens, candidateTokens })),
  );
}

import type { Arm } from '@dmoerm/evaluation';
import type { RunName } from './design';
import { mean, uncertaintyWeighted } from '@dmoerm/study';
import type { Rewards } from './judge';
import type { RunResult } from './run';
import type { TestRow } from './test-pairs';

/** An arm of the study, and what it costs. */
export interface StudyArm extends Arm {
  readonly passes: number | null;
  readonly trainingSeconds: number | null;
}

/** Arms that are a variant of a run's rewards, one row of judgements per seed. */
const VARIANTS: readonly { readonly arm: string; readonly run: RunName; readonly variant: string }[] = [
  { arm: 'dmoerm_full', run: 'full', variant: 'reward' },
  { arm: 'dmoerm_top_layers', run: 'top_layers', variant: 'reward' },
  { arm: 'dmoerm_readout', run: 'readout', variant: 'reward' },
  { arm: 'oracle_routing', run: 'top_layers', variant: 'oracle_reward' },
  { arm: 'mean_of_scores', run: 'top_layers', variant: 'mean_of_scores' },
  { arm: 'worst_case', run: 'top_layers', variant: 'worst_case' },
  { arm: 'uncertainty_weighted', run: 'top_layers', variant: 'uncertainty_weighted' },
  { arm: 'overall_expert', run: 'top_layers', variant: 'overall_expert' },
  { arm: 'random_routing', run: 'top_layers', variant: 'random_routing' },
  { arm: 'shuffled_capabilities', run: 'shuffled_capabilities', variant: 'reward' },
];

/** Members of a K-LoRA ensemble: as many as a task of the mixture has experts at most. */
const MEMBERS = 5;

/** All arms whose runs are there. The first is the single reward model, what the others are compared with. */
export function studyArms(runs: readonly RunResult[], rows: readonly TestRow[]): StudyArm[] {
  const of = (name: RunName): RunResult[] => runs.filter((run) => run.name === name);
  const single = of('single_rm');
  const arms: StudyArm[] = [];
  const add = (
    name: string,
    group: string,
    seeds: readonly Rewards[],
    passes: number | null,
    seconds: number | null,
  ) => arms.push({ name, group, seeds: seeds.map(toJudgements), passes, trainingSeconds: seconds });
  const variant = (arm: string, run: RunName, name: string): void => {
    const own = of(run);
    const seeds = own.flatMap(({ rewards }) => rewards[name] ?? []);
    if (seeds.length > 0)
      add(
        arm,
        run,
        seeds,
        mean(own.map((one) => one.passes_per_candidate)),
        mean(own.map((one) => one.training_seconds)),
      );
  };
  variant('single_rm', 'single_rm', 'reward');
  variant('linear_probe', 'linear_probe', 'reward');
  const members = single.slice(0, MEMBERS);
  if (members.length > 1) {
    const seconds = members.reduce((sum, one) => sum + one.training_seconds, 0);
    const passes = 1 + (6 / 30) * (members.length - 1);
    for (const [name, rule] of Object.entries(ENSEMBLES))
      add(name, 'klora', [combined(members, rule)], passes, seconds);
  }
  for (const { arm, run, variant: name } of VARIANTS) variant(arm, run, name);
  const longer = { chosen: rows.map((row) => row.longer), rejected: rows.map(() => 0) };
  add('longer_wins', 'longer_wins', [longer], 0, 0);
  return arms;
}

/** Rules over the members' rewards (arXiv 2310.02743). */
const ENSEMBLES: Readonly<Record<string, (rewards: readonly number[]) => number>> = {
  klora_mean: mean,
  klora_wco: (rewards) => Math.min(...rewards),
  klora_uwo: uncertaintyWeighted,
};

function combined(members: readonly RunResult[], rule: (rewards: readonly number[]) => number): Rewards {
  const side = (name: keyof Rewards): number[] => {
    const own = members.map(({ rewards }) => rewards['reward']?.[name] ?? []);
    return (own[0] ?? []).map((_, i) => rule(own.map((one) => one[i] ?? NaN)));
  };
  return { chosen: side('chosen'), rejected: side('rejected') };
}

function toJudgements({ chosen, rejected }: Rewards): Arm['seeds'][number] {
  return chosen.map((value, i) => ({
    margin: value - (rejected[i] ?? NaN),
    chosen: value,
    rejected: rejected[i] ?? NaN,
    task: null,
    failure: null,
    truncated: false,
    degraded: false,
  }));
}

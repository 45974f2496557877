import { mean, uncertaintyWeighted, type RuleName } from '../rules';

/** How much of everything. */
export interface RlSize {
  readonly steps: number;
  /** Prompts of a step, and responses to each. */
  readonly prompts: number;
  readonly group: number;
  readonly learningRate: number;
  /** Steps between measurements, and responses per test prompt in one. */
  readonly measureEvery: number;
  readonly measureSamples: number;
  /** Weights of the KL penalty. */
  readonly betas: readonly number[];
  /** Share of flipped labels that the proxies learned from. */
  readonly noise: number;
  readonly seeds: readonly number[];
}

/** Sizes by name, each with that of the best-of-n study. */
export const RL_SIZES = {
  full: {
    steps: 120,
    prompts: 8,
    group: 8,
    learningRate: 1e-4,
    measureEvery: 20,
    measureSamples: 4,
    betas: [0, 0.04],
    noise: 0.25,
    seeds: [1, 2, 3],
  },
  quick: {
    steps: 4,
    prompts: 2,
    group: 4,
    learningRate: 1e-4,
    measureEvery: 2,
    measureSamples: 2,
    betas: [0.04],
    noise: 0.25,
    seeds: [1],
  },
} as const satisfies Readonly<Record<string, RlSize>>;

/** A reward to learn from: one proxy with a rule, or several joined. */
export interface RlArm {
  readonly name: string;
  /** `single`: the members of the ensemble. */
  readonly proxies: 'single' | 'ensemble' | 'top_layers' | 'readout';
  readonly rule: RuleName;
  /** Of the members' rewards. */
  readonly join: ((rewards: readonly number[]) => number) | null;
}

/** The arms; a single model of another seed for each seed. */
export const RL_ARMS: readonly RlArm[] = [
  { name: 'single', proxies: 'single', rule: 'reward', join: null },
  { name: 'ensemble_mean', proxies: 'ensemble', rule: 'reward', join: mean },
  { name: 'ensemble_wco', proxies: 'ensemble', rule: 'reward', join: (rewards) => Math.min(...rewards) },
  { name: 'ensemble_uwo', proxies: 'ensemble', rule: 'reward', join: uncertaintyWeighted },
  { name: 'dmoerm_top_layers', proxies: 'top_layers', rule: 'reward', join: null },
  { name: 'dmoerm_uwo', proxies: 'top_layers', rule: 'uncertainty_weighted', join: null },
  { name: 'dmoerm_wco', proxies: 'top_layers', rule: 'worst_case', join: null },
  { name: 'dmoerm_readout', proxies: 'readout', rule: 'reward', join: null },
];

import { wordsOf } from '../gold/attributes';
import { mean, uncertaintyWeighted } from '../rules';
import type { Proxy } from './design';
import type { ProxyScores } from './proxies';

/** Scores [prompts][N]. */
export type Scores = readonly (readonly number[])[];

/** Something that picks a response: several seeds are averaged. */
export interface BonArm {
  readonly name: string;
  readonly seeds: readonly Scores[];
  /** Passes of a candidate through the base. */
  readonly passes: number;
}

/** Arms that are a variant of one proxy. */
const VARIANTS: readonly { readonly arm: string; readonly proxy: string; readonly variant: string }[] = [
  { arm: 'single_equal_flops', proxy: 'single_equal_flops', variant: 'reward' },
  { arm: 'weight_averaged', proxy: 'weight_averaged', variant: 'reward' },
  { arm: 'klora_mean', proxy: 'klora', variant: 'mean_of_scores' },
  { arm: 'klora_wco', proxy: 'klora', variant: 'worst_case' },
  { arm: 'klora_uwo', proxy: 'klora', variant: 'uncertainty_weighted' },
  { arm: 'dmoerm_full', proxy: 'full', variant: 'reward' },
  { arm: 'dmoerm_top_layers', proxy: 'top_layers', variant: 'reward' },
  { arm: 'dmoerm_readout', proxy: 'readout', variant: 'reward' },
  { arm: 'dmoerm_mean', proxy: 'top_layers', variant: 'mean_of_scores' },
  { arm: 'dmoerm_wco', proxy: 'top_layers', variant: 'worst_case' },
  { arm: 'dmoerm_uwo', proxy: 'top_layers', variant: 'uncertainty_weighted' },
  { arm: 'dmoerm_heads_uwo', proxy: 'top_layers', variant: 'heads_uncertainty_weighted' },
  { arm: 'soft_routing', proxy: 'top_layers', variant: 'soft_routing' },
  { arm: 'oracle_routing', proxy: 'top_layers', variant: 'oracle_routing' },
  { arm: 'random_routing', proxy: 'top_layers', variant: 'random_routing' },
  { arm: 'shuffled_capabilities', proxy: 'shuffled_capabilities', variant: 'reward' },
];

/** Rules over the rewards of single models (arXiv 2310.02743). */
const ENSEMBLES: Readonly<Record<string, (rewards: readonly number[]) => number>> = {
  ensemble_mean: mean,
  ensemble_wco: (rewards) => Math.min(...rewards),
  ensemble_uwo: uncertaintyWeighted,
};

/** The arm that all others are compared with, and the ensemble that they should beat. */
export const SINGLE = 'single';
export const ENSEMBLE = 'ensemble_mean';
/** What the rules over the same experts, other routes and placebos are compared with. */
export const MIXTURE = 'dmoerm_top_layers';

/** All arms of one noise. @param responses by test prompt */
export function armsOf(
  proxies: readonly Proxy[],
  scores: ReadonlyMap<string, ProxyScores>,
  responses: readonly (readonly string[])[],
): BonArm[] {
  const of = (proxy: string, variant: string): Scores => scores.get(proxy)?.[variant] ?? [];
  const members = proxies
    .filter(({ name }) => /^single-\d+$/.test(name))
    .map(({ name }) => of(name, 'reward'));
  const combined = (rule: (rewards: readonly number[]) => number): Scores =>
    (members[0] ?? []).map((row, p) => row.map((_, n) => rule(members.map((own) => own[p]?.[n] ?? NaN))));
  return [
    { name: SINGLE, seeds: members, passes: 1 },
    ...Object.entries(ENSEMBLES).map(([name, rule]) => ({
      name,
      seeds: [combined(rule)],
      passes: members.length,
    })),
    ...VARIANTS.map(({ arm, proxy, variant }) => ({
      name: arm,
      seeds: [of(proxy, variant)],
      passes: proxies.find(({ name }) => name === proxy)?.passes ?? NaN,
    })),
    { name: 'longer', seeds: [responses.map((row) => row.map((text) => wordsOf(text).length))], passes: 0 },
  ];
}

import {
  trainAggregator,
  aggregate,
  headRewards,
  headScore,
  judgedPairs,
  type EncodedGroup,
  type GroupEmbeddings,
  type Run,
  type ValueHead,
} from '@dmoerm/recipe';

/** A reward of one candidate's embeddings u [K * d]. */
export type Rule = (u: Float32Array) => number;

/** Weight of the population variance in the uncertainty-weighted mean (arXiv 2310.02743). */
const LAMBDA = 0.5;

/** Names of the rules over a task's experts. */
export const RULE_NAMES = [
  'reward',
  'mean_of_scores',
  'worst_case',
  'uncertainty_weighted',
  'overall_expert',
  'heads_uncertainty_weighted',
] as const;
/** One of them. */
export type RuleName = (typeof RULE_NAMES)[number];

/** Ways to make a reward of the experts' embeddings, each in units of its standard deviation on validation; and how far experts are apart. */
export interface TaskRules {
  readonly rules: Readonly<Record<RuleName, Rule>>;
  /** Standard deviation over the experts' standardised scores. */
  readonly spread: Rule;
}

/**
 * The rules of a task: its aggregator, trained on the overall preferences of groups in the split `train`, and rules over the experts' own
 * scores.
 */
export function rulesOf(
  { options }: Run,
  heads: readonly ValueHead[],
  groups: readonly EncodedGroup[],
  embeddings: GroupEmbeddings,
): TaskRules {
  const { phase3, seed } = options.recipe;
  const pairs = judgedPairs(groups, embeddings);
  const part = (split: string) => pairs.filter(({ row }) => row.split === split).map(({ pair }) => pair);
  const aggregator = trainAggregator(part('train'), part('valid'), heads, {
    hidden: phase3.hidden,
    heads: phase3.heads,
    epochs: phase3.epochs,
    learningRate: phase3.learning_rate,
    weightDecay: phase3.weight_decay,
    seed,
  });
  const valid = part('valid').flatMap(({ chosen, rejected }) => [chosen, rejected]);
  const scores = heads.map((head, k) =>
    standardised(valid, (u) =>
      headScore(head, u.subarray(k * head.weight.length, (k + 1) * head.weight.length)),
    ),
  );
  // In the reward's standard deviations, so that lambda means the same as over experts.
  const scale = scaleOf(valid.map((u) => aggregate(aggregator, u)));
  const headsOf = (u: Float32Array): number[] =>
    headRewards(aggregator, u).map((one) => (one - scale.mean) / scale.std);
  const all = (u: Float32Array): number[] => scores.map((score) => score(u));
  return {
    rules: {
      reward: standardised(valid, (u) => aggregate(aggregator, u)),
      mean_of_scores: (u) => mean(all(u)),
      worst_case: (u) => Math.min(...all(u)),
      uncertainty_weighted: (u) => uncertaintyWeighted(all(u)),
      overall_expert: (u) => scores[0]?.(u) ?? NaN,
      heads_uncertainty_weighted: (u) => uncertaintyWeighted(headsOf(u)),
    },
    spread: (u) => Math.sqrt(variance(all(u))),
  };
}

/** mean - lambda variance (UWO). */
export function uncertaintyWeighted(rewards: readonly number[]): number {
  return mean(rewards) - LAMBDA * variance(rewards);
}

/** Their mean. */
export function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

function variance(values: readonly number[]): number {
  const center = mean(values);
  return mean(values.map((value) => (value - center) ** 2));
}

/** A rule in units of its standard deviation on validation, 0 at its mean there. */
export function standardised(valid: readonly Float32Array[], rule: Rule): Rule {
  const scale = scaleOf(valid.map(rule));
  return (u) => (rule(u) - scale.mean) / scale.std;
}

function scaleOf(values: readonly number[]): { readonly mean: number; readonly std: number } {
  return { mean: mean(values), std: Math.sqrt(variance(values)) + 1e-9 };
}

import type { Bundle } from '@dmoerm/bundle';
import { promptKey } from '../scoring/conversation';
import { openScorer, type BundleScorer, type OnProgress, type ScorerOptions } from '../scoring/scorer';
import { routePairs } from '../pairs/judge';
import { rewardOf, taskOf, type RoutedPrompt, type Variant, type VariantOptions } from '../pairs/variants';
import type { SuiteItem } from './suite';

/** Variants that need no task from the data. */
export const SUITE_VARIANTS = [
  'routed',
  'random_routing',
  'mean_of_scores',
  'worst_case',
  'uncertainty_weighted',
] as const satisfies readonly Variant[];

/** One of them. */
export type SuiteVariant = (typeof SUITE_VARIANTS)[number];

/** Rewards of an item's responses, or why it has none: the reason of the first response without. */
export type ItemRewards = { readonly rewards: readonly number[] } | { readonly failure: string };

/** All that a bundle says of a suite's items, in their order. */
export interface SuiteJudgements {
  readonly bundle: Bundle;
  readonly engine: { readonly weights: string; readonly isa: string };
  readonly items: Readonly<Record<SuiteVariant, readonly ItemRewards[]>>;
}

/** Loads a bundle, scores what is missing in its cache, and lets it go. */
export async function judgeSuite(
  bundle: Bundle,
  items: readonly SuiteItem[],
  options: ScorerOptions & VariantOptions,
  onProgress?: OnProgress,
): Promise<SuiteJudgements> {
  await using scorer = await openScorer(bundle, options);
  const decisions = await routePairs(scorer, items);
  const prompts = items.map(({ messages }): RoutedPrompt => {
    const key = promptKey(messages);
    return { key, routed: decisions.get(key)?.assignments[0]?.task ?? '', labelled: null };
  });
  const taskAt = (variant: SuiteVariant, i: number): string =>
    taskOf(variant, prompts[i] as RoutedPrompt, bundle.taskNames, options) ?? '';
  await scorer.score(
    items.flatMap(({ messages, responses }, i) =>
      [...new Set(SUITE_VARIANTS.map((variant) => taskAt(variant, i)))].map((task) => ({
        task,
        messages,
        responses,
      })),
    ),
    onProgress,
  );
  const judgeAll = (variant: SuiteVariant): ItemRewards[] =>
    items.map((item, i) => rewardsOf(scorer, item, taskAt(variant, i), variant, options));
  const { weightType: weights, isa } = scorer.model.engine.info;
  return {
    bundle,
    engine: { weights, isa },
    items: {
      routed: judgeAll('routed'),
      random_routing: judgeAll('random_routing'),
      mean_of_scores: judgeAll('mean_of_scores'),
      worst_case: judgeAll('worst_case'),
      uncertainty_weighted: judgeAll('uncertainty_weighted'),
    },
  };
}

function rewardsOf(
  scorer: BundleScorer,
  { messages, responses }: SuiteItem,
  task: string,
  variant: SuiteVariant,
  options: VariantOptions,
): ItemRewards {
  const rewards: number[] = [];
  for (const response of responses) {
    const outcome = scorer.outcome(task, messages, response);
    if (outcome.type === 'error') return { failure: outcome.reason };
    rewards.push(rewardOf(variant, outcome, scorer.bundle.task(task), options));
  }
  return { rewards };
}

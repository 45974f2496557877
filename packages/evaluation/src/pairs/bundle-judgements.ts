import { createHash } from 'node:crypto';
import type { Bundle } from '@dmoerm/bundle';
import type { Pair, RouteRow } from '@dmoerm/dataset';
import { bundleTemperatures } from '../calibration/arm-calibration';
import { promptKey } from '../scoring/conversation';
import { openScorer, type OnProgress, type ScorerOptions } from '../scoring/scorer';
import { capabilityRequests, judgeCapabilities } from './capabilities';
import { judgeVariants, routePairs, variantRequests, type Judgement, type Judgements } from './judge';
import type { SelectedPairs } from './pair-data';
import type { RoutedLabel } from './router-report';
import type { VariantOptions } from './variants';

/** What is asked of every bundle. */
export interface Questions {
  readonly pairs: SelectedPairs;
  /** To fit temperatures on. */
  readonly valid: readonly Pair[];
  readonly routes: readonly RouteRow[];
}

/** All that a bundle says; it is not loaded any more. */
export interface BundleJudgements {
  readonly bundle: Bundle;
  readonly engine: { readonly weights: string; readonly isa: string };
  readonly main: Judgements;
  readonly seen: Judgements;
  readonly valid: Judgements;
  readonly capability: readonly Judgement[];
  readonly temperatures: Readonly<Record<string, number>>;
  /** A prompt of the pairs each. */
  readonly routedPairs: readonly RoutedLabel[];
  readonly routedRoutes: readonly RoutedLabel[];
}

/** Loads a bundle, scores what is missing in its cache, judges all, and lets it go: one bundle is in memory at a time. */
export async function judgeBundle(
  bundle: Bundle,
  { pairs, valid, routes }: Questions,
  options: ScorerOptions & VariantOptions,
  onProgress?: OnProgress,
): Promise<BundleJudgements> {
  await using scorer = await openScorer(bundle, options);
  const { main, seen, capability } = pairs;
  const all = [...main, ...seen, ...valid];
  const decisions = await routePairs(scorer, [...all, ...routes]);
  const judging = { ...options, decisions };
  const requests = [...variantRequests(scorer, all, judging), ...capabilityRequests(scorer, capability)];
  await scorer.score(requests, onProgress);
  const routed = (rows: readonly { messages: Pair['messages']; label: string }[]): RoutedLabel[] => {
    const distinct = new Map(rows.map(({ messages, label }) => [promptKey(messages), label]));
    return [...distinct].flatMap(([key, label]) => {
      const decision = decisions.get(key);
      return decision === undefined ? [] : [{ label, decision }];
    });
  };
  const { weightType: weights, isa } = scorer.model.engine.info;
  return {
    bundle,
    engine: { weights, isa },
    main: judgeVariants(scorer, main, judging),
    seen: judgeVariants(scorer, seen, judging),
    valid: judgeVariants(scorer, valid, judging),
    capability: judgeCapabilities(scorer, capability),
    temperatures: bundleTemperatures(bundle),
    routedPairs: routed(main.map(({ messages, task }) => ({ messages, label: task }))),
    routedRoutes: routed(routes),
  };
}

/** Names a list of pairs: the same digest, the same pairs in the same order. */
export function pairsDigest(pairs: readonly Pair[]): string {
  const hash = createHash('sha256');
  for (const { task, capability, messages, chosen, rejected } of pairs)
    hash.update(JSON.stringify([task, capability ?? null, promptKey(messages), chosen, rejected]));
  return hash.digest('hex');
}

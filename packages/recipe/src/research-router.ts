import { routingText } from '@dmoerm/core';
import { readDataset, type RouteRow } from '@dmoerm/dataset';
import { bootstrapMean, macroF1, type Estimate } from '@dmoerm/evaluation';
import { bestLabel, routerAccuracy, trainRouter, type RoutedText } from './router';
import { ROUTER_FEATURES } from './router-features';

/** How well the router's kind of model tells the tasks of all routes apart. */
export interface ResearchRouterReport {
  /** Share of validation prompts routed to their task. */
  readonly valid: number;
  /** Share of test prompts, with its 95 % interval. */
  readonly test: Estimate & { readonly prompts: number };
  /** F1 on the test prompts, mean over tasks. */
  readonly macroF1: number;
}

/** All routes are labels of prompts that the data's task list has; a larger table than a bundle's keeps them apart. */
const BUCKETS = 2 ** 18;
const RIDGES = [0.15, 0.3, 0.6];

/**
 * Trains on all routes, also those whose authors state no licence, and measures on their test split. For research: the weights
 * are thrown away, nothing of them may be shipped.
 */
export async function trainResearchRouter(dataDir: string): Promise<ResearchRouterReport> {
  const { routes } = await readDataset(dataDir);
  const part = (split: string): RouteRow[] => routes.filter((row) => row.split === split);
  const [train, valid, test] = [part('train'), part('valid'), part('test')].map((rows) => rows.map(toText));
  const options = { spec: { ...ROUTER_FEATURES, buckets: BUCKETS }, ridges: RIDGES };
  const router = trainRouter(train ?? [], valid ?? [], options);
  const guesses = (test ?? []).map(({ text, label }) => ({ label, guess: bestLabel(router, text) }));
  const hits = guesses.map(({ label, guess }) => (label === guess ? 1 : 0));
  return {
    valid: routerAccuracy(router, valid ?? []),
    test: { ...bootstrapMean(hits), prompts: hits.length },
    macroF1: macroF1(guesses),
  };
}

function toText({ messages, label }: RouteRow): RoutedText {
  return { text: routingText({ type: 'conversation', messages }), label };
}

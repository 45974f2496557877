import { routingText, type Message } from '@dmoerm/core';
import { hashFraction } from '@dmoerm/dataset';
import { routerAccuracy, trainRouter, type RoutedText, type RouterWeights } from '../router';
import { ROUTER_FEATURES } from '../router-features';
import type { Run } from './run';

/** Phase 0: the router on prompts whose pairs or routes say their task, and how often it is right on validation. */
export function fitRouter({ selection, routes, options }: Run): { router: RouterWeights; valid: number } {
  const texts = (split: string): RoutedText[] =>
    selection.tasks.flatMap(({ task, overall, first, experts }) => {
      const rows: { split: string; messages: readonly Message[] }[] = [
        ...overall,
        ...first,
        ...[...experts.values()].flat(),
        ...routes.filter(({ label }) => label === task.name),
      ];
      const own = rows.filter((row) => row.split === split);
      const unique = new Set(own.map(({ messages }) => routingText({ type: 'conversation', messages })));
      return [...unique]
        .sort((a, b) => hashFraction(a, 'router') - hashFraction(b, 'router'))
        .slice(0, options.recipe.router.max_prompts)
        .map((text) => ({ text, label: task.name }));
    });
  const valid = texts('valid');
  const router = trainRouter(texts('train'), valid, { spec: ROUTER_FEATURES, ridges: [0.1, 0.3, 1] });
  return { router, valid: routerAccuracy(router, valid) };
}

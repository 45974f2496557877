import type { Pair } from '@dmoerm/dataset';
import { createPanel, type Panel } from '../statistics/panel';

/** Pairs by prompt: what clusters them, and the panel that statistics stand on. */
export interface PromptGroups {
  readonly panel: Panel;
  /** Per prompt of the panel the indices of its pairs. */
  readonly pairsOf: readonly (readonly number[])[];
  readonly pairCount: number;
}

/** 1 where the margin favours the preferred response, 1/2 for an exact tie. */
export function won(margin: number): number {
  return margin > 0 ? 1 : margin === 0 ? 0.5 : 0;
}

/** Groups the pairs that `take` names by category and prompt. Prompts of two sources are never the same. */
export function groupPairs(
  pairs: readonly Pick<Pair, 'source' | 'prompt_id'>[],
  categoryOf: (index: number) => string,
  take: (index: number) => boolean = () => true,
): PromptGroups {
  const prompts = new Map<string, { category: string; own: number[] }>();
  let pairCount = 0;
  pairs.forEach(({ source, prompt_id: id }, i) => {
    if (!take(i)) return;
    pairCount++;
    const category = categoryOf(i);
    const key = JSON.stringify([category, source, id]);
    const prompt = prompts.get(key);
    if (prompt === undefined) prompts.set(key, { category, own: [i] });
    else prompt.own.push(i);
  });
  const groups = [...prompts.values()];
  return {
    panel: createPanel(groups.map(({ category }) => category)),
    pairsOf: groups.map(({ own }) => own),
    pairCount,
  };
}

/** Mean within each prompt of what `value` says of its pairs, [P]. */
export function meanWithin({ pairsOf }: PromptGroups, value: (pair: number) => number): Float64Array {
  return Float64Array.from(pairsOf, (own) => own.reduce((sum, pair) => sum + value(pair), 0) / own.length);
}

import { groupBy } from '@dmoerm/core';
import type { ScoreItem } from '@dmoerm/client';

/** An item to draw from. */
export interface LoadItem {
  /** Names the item in the oracle. */
  readonly id: string;
  readonly item: ScoreItem;
}

/** One call: some candidates of an item. */
export interface Work {
  readonly id: string;
  readonly item: ScoreItem;
  /** Which candidate of the whole item is the first here. */
  readonly firstCandidate: number;
}

/** What a burst looks like. */
export interface BurstShape {
  /** Ranks of a trainer that score the candidates of one prompt at the same moment, each its part of them. */
  readonly ranks: number;
  /** How uneven tasks are: the n-th task comes in proportion to 1 / n^skew; 0: all alike. Items without a forced task are one. */
  readonly skew: number;
}

/** Draws bursts as GRPO makes them: all candidates of one prompt, from several ranks at once. */
export function burstsOf(
  items: readonly LoadItem[],
  { ranks, skew }: BurstShape,
): (random: () => number) => Work[] {
  const tasks = [...groupBy(items, ({ item }) => taskOf(item)).values()];
  const weights = tasks.map((_, n) => (n + 1) ** -skew);
  const total = weights.reduce((a, b) => a + b, 0);
  return (random) => {
    let at = random() * total;
    const task = tasks[weights.findIndex((weight) => (at -= weight) < 0)] ?? tasks.at(-1) ?? [];
    const drawn = task[Math.floor(random() * task.length)];
    return drawn === undefined ? [] : amongRanks(drawn, ranks);
  };
}

function taskOf({ options }: ScoreItem): string {
  return options?.routing?.type === 'forced' ? options.routing.task : '';
}

function amongRanks({ id, item }: LoadItem, ranks: number): Work[] {
  const { candidates } = item;
  const share = Math.max(1, Math.ceil(candidates.length / ranks));
  return Array.from({ length: Math.ceil(candidates.length / share) }, (_, rank) => {
    const firstCandidate = rank * share;
    const own = candidates.slice(firstCandidate, firstCandidate + share);
    return { id, firstCandidate, item: { ...item, candidates: own } };
  });
}

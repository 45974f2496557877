import { DmoermError, type Message } from '@dmoerm/core';
import type { Price } from './read-settings-file';

/** Money that is spent, and money that may be spent by requests on their way. */
export interface Budget {
  /** The most that a request can cost; null without a price. */
  ceiling(messages: readonly Message[], maxTokens: number): number | null;
  /** What an answer cost by its usage; its ceiling if the endpoint told no usage. */
  costOf(
    usage: { readonly promptTokens: number; readonly completionTokens: number } | null,
    ceiling: number | null,
  ): number | null;
  /**
   * Sets money aside before a request is sent.
   * @throws DmoermError RESOURCE_EXHAUSTED, reason BUDGET_REACHED, if the request could cross the budget.
   */
  reserve(ceiling: number | null): void;
  /** Gives back what was set aside, and counts what was spent of it. */
  settle(ceiling: number | null, cost: number | null): void;
  /** In the currency of the price; null without one. */
  spent(): number | null;
}

/** What a run may cost. */
export interface BudgetOptions {
  readonly price: Price | null;
  /** Most money, in the currency of the price; null: no limit. Includes what earlier runs of the journal spent. */
  readonly limit: number | null;
  readonly spent: number;
}

/** Tokens that a chat format may add to each message. */
const PER_MESSAGE = 16;

/** A hard limit: a request is sent only if everything on its way could cost its most and still fit. */
export function createBudget({ price, limit, spent: before }: BudgetOptions): Budget {
  let spent = before;
  let reserved = 0;
  const money = (promptTokens: number, completionTokens: number): number | null =>
    price === null
      ? null
      : (promptTokens * price.inputPerMillion + completionTokens * price.outputPerMillion) / 1e6;
  return {
    ceiling: (messages, maxTokens) => money(mostTokens(messages), maxTokens),
    costOf: (usage, ceiling) =>
      usage === null ? ceiling : money(usage.promptTokens, usage.completionTokens),
    reserve: (ceiling) => {
      const wanted = ceiling ?? 0;
      if (limit !== null && spent + reserved + wanted > limit)
        throw new DmoermError({
          code: 'RESOURCE_EXHAUSTED',
          reason: 'BUDGET_REACHED',
          field: '--budget',
          message:
            `the budget is reached: ${spent.toPrecision(4)} of ${limit} ${price?.currency ?? ''} spent, ` +
            'and the next request could cross it; run again with a larger --budget to go on',
          metadata: { retry: 'no' },
        });
      reserved += wanted;
    },
    settle: (ceiling, cost) => {
      reserved -= ceiling ?? 0;
      spent += cost ?? 0;
    },
    spent: () => (price === null ? null : spent),
  };
}

/** A bound: a token of a byte-level vocabulary stands for at least one byte. */
export function mostTokens(messages: readonly Message[]): number {
  return messages.reduce((sum, { content }) => sum + Buffer.byteLength(content) + PER_MESSAGE, 0);
}

/** A guess for planning and pacing: four bytes a token, as in English prose. */
export function likelyTokens(messages: readonly Message[]): number {
  return messages.reduce((sum, { content }) => sum + Math.ceil(Buffer.byteLength(content) / 4) + 4, 0);
}

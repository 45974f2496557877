import { likelyTokens, mostTokens } from './budget';
import type { Journal } from './journal';
import type { Plan } from './plan';
import { buildPrompt } from './prompt';
import type { Price } from './read-settings-file';
import { openQuestions } from './run';

/** What a run would ask and cost. */
export interface Estimate {
  readonly comparisons: number;
  readonly questions: number;
  /** Questions that the journal decides already. */
  readonly answered: number;
  /** A guess at the prompt tokens of the rest: four bytes a token. */
  readonly promptTokens: number;
  /** A guess at the completion tokens of the rest. */
  readonly completionTokens: number;
  /** By the guess, in `currency`; null without a price. */
  readonly cost: number | null;
  /** A bound without repairs and larger retries: a byte a token, every reply as long as it may be. */
  readonly costAtMost: number | null;
  readonly currency: string | null;
}

/** Tokens of `{"winner":"1"}`, and of three sentences of reasons. */
const REPLY = { plain: 8, rationale: 120 };
const NONCE = '0'.repeat(16);

/** Estimates a run without asking anything. */
export function estimate(plan: Plan, journal: Journal, price: Price | null): Estimate {
  const open = openQuestions(plan, journal);
  const { rationale, maxTokens } = plan.ask;
  let [promptTokens, most] = [0, 0];
  for (const { comparison, order } of open) {
    const prompt = buildPrompt(comparison, { order, rationale, nonce: NONCE });
    promptTokens += likelyTokens(prompt);
    most += mostTokens(prompt);
  }
  const completionTokens = open.length * Math.min(maxTokens, rationale ? REPLY.rationale : REPLY.plain);
  const money = (input: number, output: number): number | null =>
    price === null ? null : (input * price.inputPerMillion + output * price.outputPerMillion) / 1e6;
  return {
    comparisons: plan.comparisons.length,
    questions: plan.questions.length,
    answered: plan.questions.length - open.length,
    promptTokens,
    completionTokens,
    cost: money(promptTokens, completionTokens),
    costAtMost: money(most, open.length * maxTokens),
    currency: price?.currency ?? null,
  };
}

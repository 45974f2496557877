import type { Message } from '@dmoerm/core';
import type { Pair } from '@dmoerm/dataset';
import type { Decision } from '@dmoerm/reward';
import { promptKey } from '../scoring/conversation';
import type { Score } from '../scoring/score-cache';
import type { BundleScorer, ScoreRequest } from '../scoring/scorer';
import { rewardOf, taskOf, VARIANTS, type RoutedPrompt, type Variant, type VariantOptions } from './variants';

/** What an arm says of a pair. */
export interface Judgement {
  /** Reward of the preferred response minus that of the other; NaN where one has none. */
  readonly margin: number;
  readonly chosen: number;
  readonly rejected: number;
  /** That scored the pair; null: the bundle does not have the task. */
  readonly task: string | null;
  /** Why there is no margin, e.g. `TOO_LONG`; null if there is one. */
  readonly failure: string | null;
  /** Turns of the conversation were dropped to fit. */
  readonly truncated: boolean;
  readonly degraded: boolean;
}

/** What a bundle says of one list of pairs, in its order. */
export type Judgements = Readonly<Record<Variant, readonly Judgement[]>>;

/** Reason of pairs whose task the bundle does not have. */
export const TASK_NOT_IN_BUNDLE = 'TASK_NOT_IN_BUNDLE';

/** Routes the prompts of pairs; decisions by the prompt's key. */
export async function routePairs(
  scorer: BundleScorer,
  prompts: readonly { readonly messages: readonly Message[] }[],
): Promise<Map<string, Decision>> {
  const distinct = new Map(prompts.map(({ messages }) => [promptKey(messages), messages]));
  const decisions = await scorer.route(
    [...distinct.values()].map((messages) => ({ type: 'conversation', messages })),
  );
  return new Map([...distinct.keys()].map((key, i) => [key, decisions[i] as Decision]));
}

/** What variants need to know of a bundle's view of the prompts. */
export interface JudgeOptions extends VariantOptions {
  /** By the prompt's key. */
  readonly decisions: ReadonlyMap<string, Decision>;
}

/** What all variants need of pairs. */
export function variantRequests(
  { bundle }: BundleScorer,
  pairs: readonly Pair[],
  options: JudgeOptions,
): ScoreRequest[] {
  return toRequests(pairs, (pair) => {
    const prompt = toPrompt(pair, options);
    const tasks = VARIANTS.map((variant) => taskOf(variant, prompt, bundle.taskNames, options));
    return [...new Set(tasks.filter((task) => task !== null))];
  });
}

/** Judges pairs whose requests were scored. */
export function judgeVariants(
  scorer: BundleScorer,
  pairs: readonly Pair[],
  options: JudgeOptions,
): Judgements {
  const { taskNames } = scorer.bundle;
  const prompts = pairs.map((pair) => toPrompt(pair, options));
  const judgeAll = (variant: Variant): Judgement[] =>
    pairs.map((pair, i) => {
      const task = taskOf(variant, prompts[i] as RoutedPrompt, taskNames, options);
      return judge(scorer, pair, task, (score, own) =>
        rewardOf(variant, score, scorer.bundle.task(own), options),
      );
    });
  return {
    routed: judgeAll('routed'),
    oracle: judgeAll('oracle'),
    random_routing: judgeAll('random_routing'),
    mean_of_scores: judgeAll('mean_of_scores'),
    worst_case: judgeAll('worst_case'),
    uncertainty_weighted: judgeAll('uncertainty_weighted'),
  };
}

/** Requests for both responses of pairs. */
export function toRequests(
  pairs: readonly Pair[],
  tasksOf: (pair: Pair) => readonly string[],
): ScoreRequest[] {
  return pairs.flatMap((pair) =>
    tasksOf(pair).map((task) => ({ task, messages: pair.messages, responses: [pair.chosen, pair.rejected] })),
  );
}

function toPrompt(pair: Pair, { decisions }: JudgeOptions): RoutedPrompt {
  const key = promptKey(pair.messages);
  const routed = decisions.get(key)?.assignments[0]?.task;
  if (routed === undefined) throw new Error('a prompt was not routed');
  return { key, routed, labelled: pair.task };
}

/** A judgement without a margin. */
export function noJudgement(task: string | null, failure: string): Judgement {
  const none = { margin: NaN, chosen: NaN, rejected: NaN, truncated: false, degraded: false };
  return { ...none, task, failure };
}

/** Judges a pair as a task by some value of its scores. */
export function judge(
  scorer: BundleScorer,
  pair: Pair,
  task: string | null,
  valueOf: (score: Score, task: string) => number,
): Judgement {
  if (task === null) return noJudgement(null, TASK_NOT_IN_BUNDLE);
  const own = [pair.chosen, pair.rejected].map((text) => scorer.outcome(task, pair.messages, text));
  const failed = own.find((one) => one.type === 'error');
  if (failed !== undefined) return noJudgement(task, failed.reason);
  const scores = own.flatMap((one) => (one.type === 'score' ? [one] : []));
  const [chosen = NaN, rejected = NaN] = scores.map((one) => valueOf(one, task));
  return {
    margin: chosen - rejected,
    chosen,
    rejected,
    task,
    failure: null,
    truncated: scores.some(({ truncated }) => truncated),
    degraded: scores.some(({ degraded }) => degraded),
  };
}

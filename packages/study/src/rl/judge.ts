import { routingText } from '@dmoerm/core';
import type { Trainer } from '@dmoerm/engine';
import {
  embedGroups,
  embedRows,
  encodeOverall,
  fitRouter,
  openExperts,
  routeText,
  type Run,
} from '@dmoerm/recipe';
import { chooseTasks } from '@dmoerm/reward';
import type { Proxy } from '../bon/design';
import type { StudyPrompt } from '../bon/prompts';
import { rulesOf, type RuleName, type TaskRules } from '../rules';
import { trainedHeads } from '../trained-heads';

/** Responses to a prompt. */
export interface Rollout {
  readonly prompt: StudyPrompt;
  readonly responses: readonly string[];
}

/** A proxy that scores what a policy writes while it learns. */
export interface Judge extends AsyncDisposable {
  /** One reward per response. */
  score(rollouts: readonly Rollout[]): Promise<number[][]>;
}

interface TaskJudge extends TaskRules {
  readonly trainer: Trainer;
  readonly experts: number;
}

/** The trained proxy of a run, resident. @param rule how its experts' outputs become the reward. */
export async function openJudge(run: Run, proxy: Proxy, rule: RuleName): Promise<Judge> {
  const tasks = new Map<string, TaskJudge>();
  for (const [t, pairs] of run.selection.tasks.entries()) {
    const { task } = pairs;
    const labelled = encodeOverall(run, pairs).groups.filter(({ pairs: own }) =>
      ['train', 'valid'].includes(own.get(0)?.[0]?.record.split ?? ''),
    );
    const heads = await trainedHeads(run, t);
    const rules = rulesOf(run, heads, labelled, await embedGroups(run, task, labelled));
    tasks.set(task.name, { ...rules, trainer: await openExperts(run, task), experts: heads.length });
  }
  const taskOf = proxy.single ? () => 'any' : routerOf(run);
  const { template } = run.opened;
  const d = run.base.config.hiddenSize;
  return {
    score: async (rollouts) => {
      const rewards = rollouts.map(({ responses }) => responses.map(() => NaN));
      for (const [name, { rules, trainer, experts }] of tasks) {
        const own = [...rollouts.entries()].filter(([, { prompt }]) => taskOf(prompt) === name);
        if (own.length === 0) continue;
        const prompts = own.map(([, { prompt }]) => prompt.tokens);
        const candidates = own.flatMap(([, { responses }], i) =>
          responses.map((text) => ({ prompt: i, tokens: Int32Array.from(template.candidateTokens(text)) })),
        );
        const embeddings = await embedRows(trainer, { prompts, candidates }, experts, d);
        let at = 0;
        for (const [i, { responses }] of own)
          responses.forEach((_, n) => {
            const u = embeddings.subarray(at * experts * d, ++at * experts * d);
            (rewards[i] as number[])[n] = rules[rule](u);
          });
      }
      return rewards;
    },
    [Symbol.asyncDispose]: async () => {
      for (const { trainer } of tasks.values()) await trainer[Symbol.asyncDispose]();
    },
  };
}

/** A rule over several judges' rewards of each response. */
export function joinJudges(judges: readonly Judge[], rule: (rewards: readonly number[]) => number): Judge {
  return {
    score: async (rollouts) => {
      const all: number[][][] = [];
      for (const judge of judges) all.push(await judge.score(rollouts));
      return rollouts.map(({ responses }, i) =>
        responses.map((_, n) => rule(all.map((own) => own[i]?.[n] ?? NaN))),
      );
    },
    [Symbol.asyncDispose]: async () => {
      for (const judge of judges) await judge[Symbol.asyncDispose]();
    },
  };
}

function routerOf(run: Run): (prompt: StudyPrompt) => string {
  const { router } = fitRouter(run);
  const { recipe } = run.options;
  const fallback = { task: recipe.tasks[0]?.name ?? '', threshold: recipe.router.threshold };
  const known = new Map<StudyPrompt, string>();
  return (prompt) => {
    const found = known.get(prompt);
    if (found !== undefined) return found;
    const probabilities = routeText(router, routingText({ type: 'conversation', messages: prompt.messages }));
    const [chosen] = chooseTasks(router.labels, probabilities, { type: 'top_1' }, fallback).assignments;
    known.set(prompt, chosen?.task ?? fallback.task);
    return chosen?.task ?? fallback.task;
  };
}

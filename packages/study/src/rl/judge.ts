import type { Trainer } from '@dmoerm/engine';
import { embedRows, openExperts, type Run } from '@dmoerm/recipe';
import type { Proxy } from '../bon/design';
import type { StudyPrompt } from '../bon/prompts';
import type { RuleName, TaskRules } from '../rules';
import { trainedRouter, trainedRules } from '../trained-task';

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
  for (const [t, { task }] of run.selection.tasks.entries()) {
    const rules = await trainedRules(run, t);
    const experts = task.capabilities.length;
    tasks.set(task.name, { ...rules, trainer: await openExperts(run, task), experts });
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
  const route = trainedRouter(run);
  const known = new Map<StudyPrompt, string>();
  return (prompt) => {
    const task = known.get(prompt) ?? route(prompt.messages, 'top_1')[0]?.task ?? '';
    known.set(prompt, task);
    return task;
  };
}

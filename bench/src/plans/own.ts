import type { Engine, SharingPlan, TaskHandle } from '@dmoerm/engine';
import { openAdapter, type BaseModel } from '@dmoerm/weights';
import { expert } from '../engine';
import { randomAdapter } from '../model/random-adapter';
import type { Divisible } from '../parts';
import { randomTokens } from '../tokens';
import type { Contestant } from '../turns';
import { INVOCATION_TOKENS, LORA, planName, type CaseTokens } from './work';

/** One plan in the engine: all experts as one task, and each as a task of its own. */
export interface OwnPlan extends AsyncDisposable {
  /** The task of all experts, all candidates in one call. */
  readonly together: Contestant;
  /** Every expert and candidate by itself: one evaluation of a single-expert task with the whole conversation. */
  readonly naive: Divisible;
}

/** Puts the experts of a plan into an engine. */
export async function openPlan(
  engine: Engine,
  base: BaseModel,
  plan: SharingPlan,
  experts: number,
  tokens: CaseTokens,
): Promise<OwnPlan> {
  const specs = await Promise.all(
    Array.from({ length: experts }, (_, index) => expertSpec(engine, base, plan, index)),
  );
  const add = (some: typeof specs): Promise<TaskHandle> =>
    engine.addTask({ plan, taskAdapter: null, experts: some });
  const task = await add(specs);
  const singles: TaskHandle[] = [];
  for (const spec of specs) singles.push(await add([spec]));
  const pairs = singles.flatMap((single) => tokens.candidates.map((candidate) => ({ single, candidate })));
  const alone = ({ single, candidate }: (typeof pairs)[number]): Promise<number> =>
    timeEvaluation(engine, single, { prompt: tokens.prompt, candidates: [candidate] });
  const name = planName(plan);
  const perPair = tokens.prompt.length + (tokens.candidates[0]?.length ?? 0);
  return {
    together: { name, run: async () => [await timeEvaluation(engine, task, tokens)] },
    naive: {
      name: naiveName(plan),
      unit: 'evaluations',
      parts: pairs.length,
      tokensPerPart: perPair,
      warmUp: async () => ((await Promise.all(pairs.slice(0, 1).map(alone)))[0] ?? NaN) / perPair,
      run: async (count) => {
        let seconds = 0;
        for (const pair of pairs.slice(0, count)) seconds += await alone(pair);
        return seconds;
      },
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of [task, ...singles]) await engine.removeTask(one);
    },
  };
}

/** Name of a plan's loop among the contestants. */
export function naiveName(plan: SharingPlan): string {
  return `naive loop, ${planName(plan)}`;
}

async function expertSpec(engine: Engine, base: BaseModel, plan: SharingPlan, index: number) {
  const topLayers = plan.type === 'top_layers' ? plan.layers : base.config.layerCount;
  const adapter = await openAdapter(
    await randomAdapter(base.config, { index, topLayers, ...LORA }),
    base.config,
  );
  const invocation = randomTokens(INVOCATION_TOKENS, base.config.vocabSize, `invocation ${index}`);
  return expert(engine, adapter, plan.type === 'readout' ? [...invocation] : []);
}

/** Seconds as the caller sees them. */
async function timeEvaluation(
  engine: Engine,
  task: TaskHandle,
  { prompt, candidates }: CaseTokens,
): Promise<number> {
  const batch = { task, prompts: [prompt], candidates: candidates.map((tokens) => ({ prompt: 0, tokens })) };
  const start = performance.now();
  await engine.evaluate([batch]);
  return (performance.now() - start) / 1e3;
}

import fc from 'fast-check';
import { openAdapter, openBase, type BaseModel } from '@dmoerm/weights';
import { goldenAdapter, goldenBase } from '@dmoerm/testing';
import { createEngine, type Engine, type EvaluateRequest, type TaskHandle, type TaskSpec } from './engine';

/** A conversation: what one candidate is scored with. */
interface Single {
  readonly prompt: readonly number[];
  readonly candidate: readonly number[];
}

const PLANS = ['full', 'top_layers', 'readout'] as const;
const WEIGHTS = ['f32', 'bf16', 'int8', 'stored'] as const;
/** Each in turn must give the bits of the first: threads, and rows in flight, so that forests and experts fall into parts. */
const ENGINES = [
  { threads: 1 },
  { threads: 2 },
  { threads: 3, maxRows: 40 },
  { threads: 2, maxRows: 150 },
] as const;
const token = fc.integer({ min: 20, max: 250 });
const forest = fc.record({
  prompts: fc.array(fc.array(token, { maxLength: 90 }), { minLength: 1, maxLength: 4 }),
  candidates: fc.array(
    fc.record({ prompt: fc.nat(3), tokens: fc.array(token, { minLength: 1, maxLength: 60 }) }),
    { minLength: 1, maxLength: 12 },
  ),
});

describe.each(WEIGHTS)('batch invariance, bit for bit, with %s weights', (weightType) => {
  let base: BaseModel;
  const engines: { engine: Engine; tasks: Map<string, TaskHandle> }[] = [];

  beforeAll(async () => {
    base = await openBase(goldenBase('llama'));
    for (const options of ENGINES) {
      const engine = await createEngine(base, { ...options, weightType });
      const tasks = new Map<string, TaskHandle>();
      for (const plan of PLANS) tasks.set(plan, await engine.addTask(await taskOf(plan, base)));
      engines.push({ engine, tasks });
    }
  });

  afterAll(async () => {
    for (const { engine } of engines) await engine[Symbol.asyncDispose]();
  });

  async function outputs(index: number, plan: string, request: EvaluateRequest): Promise<Uint8Array[]> {
    const { engine, tasks } = engines[index] as (typeof engines)[number];
    const task = tasks.get(plan) as TaskHandle;
    const { embeddings, scores } = await engine.evaluate(task, request);
    const k = task.expertCount;
    const d = engine.info.hiddenSize;
    return request.candidates.map((_, n) =>
      Buffer.concat([
        Buffer.from(embeddings.slice(n * k * d, (n + 1) * k * d).buffer),
        Buffer.from(scores.slice(n * k, (n + 1) * k).buffer),
      ]),
    );
  }

  const alone = async (plan: string, { prompt, candidate }: Single): Promise<Uint8Array> =>
    (
      await outputs(0, plan, { prompts: [ids(prompt)], candidates: [{ prompt: 0, tokens: ids(candidate) }] })
    )[0] as Uint8Array;

  it.each(PLANS)(
    '%s: a candidate alone equals itself in any forest, in any parts, on any number of threads',
    async (plan) => {
      await fc.assert(
        fc.asyncProperty(forest, fc.nat(ENGINES.length - 1), async ({ prompts, candidates }, engine) => {
          const batch = candidates.map(({ prompt, tokens }) => ({
            prompt: prompt % prompts.length,
            tokens: ids(tokens),
          }));
          const together = await outputs(engine, plan, { prompts: prompts.map(ids), candidates: batch });
          for (const [n, { prompt, tokens }] of batch.entries())
            expect(together[n]).toEqual(
              await alone(plan, { prompt: prompts[prompt] ?? [], candidate: [...tokens] }),
            );
        }),
        { numRuns: 12 },
      );
    },
  );

  it.each(PLANS)('%s: 64 candidates of one prompt, reordered, keep their bits', async (plan) => {
    const prompt = Array.from({ length: 33 }, (_, i) => 20 + ((i * 7) % 200));
    const candidates = Array.from({ length: 64 }, (_, n) =>
      Array.from({ length: 1 + (n % 19) }, (_, i) => 20 + ((n * 31 + i) % 200)),
    );
    const run = (order: number[]) =>
      outputs(1, plan, {
        prompts: [ids(prompt)],
        candidates: order.map((n) => ({ prompt: 0, tokens: ids(candidates[n] ?? []) })),
      });
    const order = candidates.map((_, n) => n);
    const forward = await run(order);
    const backward = (await run([...order].reverse())).reverse();
    expect(backward).toEqual(forward);
  });

  it('sees a difference where there is one: another prompt token changes the bits', async () => {
    const candidate = [30, 31, 32];
    const first = await alone('full', { prompt: [40, 41], candidate });
    expect(await alone('full', { prompt: [40, 42], candidate })).not.toEqual(first);
  });
});

function ids(tokens: readonly number[]): Int32Array {
  return Int32Array.from(tokens);
}

async function taskOf(plan: (typeof PLANS)[number], base: BaseModel): Promise<TaskSpec> {
  const names = {
    full: ['qv', 'all-linear', 'rank3'],
    top_layers: ['top2', 'top1'],
    readout: ['alora-a', 'alora-b', 'alora-c'],
  };
  const experts = await Promise.all(
    names[plan].map(async (name, e) => {
      const adapter = await openAdapter(goldenAdapter(name), base.config);
      const weight = Float32Array.from({ length: base.config.hiddenSize }, (_, i) => Math.sin(i + e));
      return { adapter, invocationTokens: adapter.invocationTokens ?? [], head: { weight, bias: e } };
    }),
  );
  return {
    plan: plan === 'top_layers' ? { type: plan, layers: 2 } : { type: plan },
    taskAdapter: null,
    experts,
  };
}

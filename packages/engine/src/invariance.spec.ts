import fc from 'fast-check';
import { openAdapter, openBase, type BaseModel } from '@dmoerm/weights';
import { goldenAdapter, goldenBase } from '@dmoerm/testing';
import { createEngine, type Engine, type TaskHandle, type TaskSpec } from './engine';

/** What one task scores. */
interface Forest {
  readonly task: string;
  readonly prompts: readonly (readonly number[])[];
  readonly candidates: readonly { readonly prompt: number; readonly tokens: readonly number[] }[];
}

/** Those of one plan share forward passes; those of different plans fork in different layers. */
const TASKS: readonly { name: string; plan: TaskSpec['plan']; adapters: readonly string[] }[] = [
  { name: 'full', plan: { type: 'full' }, adapters: ['qv', 'all-linear', 'rank3'] },
  { name: 'another full', plan: { type: 'full' }, adapters: ['rank3', 'qv'] },
  { name: 'top_layers', plan: { type: 'top_layers', layers: 2 }, adapters: ['top2', 'top1'] },
  { name: 'readout', plan: { type: 'readout' }, adapters: ['alora-a', 'alora-b', 'alora-c'] },
  { name: 'another readout', plan: { type: 'readout' }, adapters: ['alora-c', 'alora-b'] },
];
const NAMES = TASKS.map(({ name }) => name);
const WEIGHTS = ['f32', 'bf16', 'int8', 'stored'] as const;
/** Each in turn must give the bits of the first: threads, and rows in flight, so that forests and experts fall into parts. */
const ENGINES = [
  { threads: 1 },
  { threads: 2 },
  { threads: 3, maxRows: 40 },
  { threads: 2, maxRows: 150 },
] as const;
const token = fc.integer({ min: 20, max: 250 });
const forest: fc.Arbitrary<Forest> = fc
  .record({
    task: fc.constantFrom(...NAMES),
    prompts: fc.array(fc.array(token, { maxLength: 90 }), { minLength: 1, maxLength: 4 }),
    candidates: fc.array(
      fc.record({ prompt: fc.nat(3), tokens: fc.array(token, { minLength: 1, maxLength: 60 }) }),
      { minLength: 1, maxLength: 12 },
    ),
  })
  .map(({ task, prompts, candidates }) => ({
    task,
    prompts,
    candidates: candidates.map(({ prompt, tokens }) => ({ prompt: prompt % prompts.length, tokens })),
  }));

describe.each(WEIGHTS)('batch invariance, bit for bit, with %s weights', (weightType) => {
  let base: BaseModel;
  const engines: { engine: Engine; tasks: Map<string, TaskHandle> }[] = [];

  beforeAll(async () => {
    base = await openBase(goldenBase('llama'));
    for (const options of ENGINES) {
      const engine = await createEngine(base, { ...options, weightType });
      const tasks = new Map<string, TaskHandle>();
      for (const { name, plan, adapters } of TASKS)
        tasks.set(name, await engine.addTask(await taskOf(plan, adapters, base)));
      engines.push({ engine, tasks });
    }
  });

  afterAll(async () => {
    for (const { engine } of engines) await engine[Symbol.asyncDispose]();
  });

  /** Embeddings and scores as bytes: by forest, by candidate. */
  async function bits(index: number, forests: readonly Forest[]): Promise<Uint8Array[][]> {
    const { engine, tasks } = engines[index] as (typeof engines)[number];
    const batches = forests.map(({ task, prompts, candidates }) => ({
      task: tasks.get(task) as TaskHandle,
      prompts: prompts.map(ids),
      candidates: candidates.map(({ prompt, tokens }) => ({ prompt, tokens: ids(tokens) })),
    }));
    const { outputs } = await engine.evaluate(batches);
    const d = engine.info.hiddenSize;
    return outputs.map(({ embeddings, scores }, i) => {
      const k = batches[i]?.task.expertCount ?? 0;
      return (batches[i]?.candidates ?? []).map((_, n) =>
        Buffer.concat([
          Buffer.from(embeddings.slice(n * k * d, (n + 1) * k * d).buffer),
          Buffer.from(scores.slice(n * k, (n + 1) * k).buffer),
        ]),
      );
    });
  }

  /** Of one candidate by itself. */
  async function alone(task: string, prompt: readonly number[], tokens: readonly number[]) {
    const [[only] = []] = await bits(0, [{ task, prompts: [prompt], candidates: [{ prompt: 0, tokens }] }]);
    return only;
  }

  it('a candidate alone equals itself in any forest, beside any tasks, in any parts, on any number of threads', async () => {
    const forests = fc.array(forest, { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(forests, fc.nat(ENGINES.length - 1), async (call, engine) => {
        const together = await bits(engine, call);
        for (const [i, { task, prompts, candidates }] of call.entries())
          for (const [n, { prompt, tokens }] of candidates.entries())
            expect(together[i]?.[n]).toEqual(await alone(task, prompts[prompt] ?? [], tokens));
      }),
      { numRuns: 24 },
    );
  });

  it.each(NAMES)('%s: 64 candidates of one prompt, reordered, keep their bits', async (task) => {
    const prompt = Array.from({ length: 33 }, (_, i) => 20 + ((i * 7) % 200));
    const candidates = Array.from({ length: 64 }, (_, n) => ({
      prompt: 0,
      tokens: Array.from({ length: 1 + (n % 19) }, (_, i) => 20 + ((n * 31 + i) % 200)),
    }));
    const [forward = []] = await bits(1, [{ task, prompts: [prompt], candidates }]);
    const [backward = []] = await bits(1, [
      { task, prompts: [prompt], candidates: [...candidates].reverse() },
    ]);
    expect(forward).toHaveLength(64);
    expect([...backward].reverse()).toEqual(forward);
  });

  it('sees a difference where there is one: another prompt token, or another task, changes the bits', async () => {
    const candidate = [30, 31, 32];
    const first = await alone('full', [40, 41], candidate);
    expect(await alone('full', [40, 42], candidate)).not.toEqual(first);
    expect(await alone('another full', [40, 41], candidate)).not.toEqual(first);
  });
});

function ids(tokens: readonly number[]): Int32Array {
  return Int32Array.from(tokens);
}

async function taskOf(
  plan: TaskSpec['plan'],
  adapters: readonly string[],
  base: BaseModel,
): Promise<TaskSpec> {
  const experts = await Promise.all(
    adapters.map(async (name, e) => {
      const adapter = await openAdapter(goldenAdapter(name), base.config);
      const weight = Float32Array.from({ length: base.config.hiddenSize }, (_, i) => Math.sin(i + e));
      return { adapter, invocationTokens: adapter.invocationTokens ?? [], head: { weight, bias: e } };
    }),
  );
  return { plan, taskAdapter: null, experts };
}

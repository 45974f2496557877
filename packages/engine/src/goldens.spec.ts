import { openAdapter, openBase, type BaseModel } from '@dmoerm/weights';
import {
  goldenAdapter,
  goldenBase,
  readExpected,
  readGoldenCases,
  relativeError,
  TOLERANCES,
  type GoldenCase,
} from '@dmoerm/testing';
import { createEngine, type Engine, type EngineOptions, type Batch, type TaskHandle } from './engine';

const UNITS = [
  'cuda',
  'reference',
  'avx2',
  'avx_vnni',
  'avx512',
  'avx512_vnni',
  'avx512_bf16',
  'amx',
] as const;

const cases = readGoldenCases();
const bases = [...new Set(cases.map(({ base }) => base))];

/** Instruction sets that this machine can run. */
async function machineIsas(base: BaseModel): Promise<NonNullable<EngineOptions['isa']>[]> {
  const found: NonNullable<EngineOptions['isa']>[] = [];
  for (const isa of UNITS) {
    try {
      await using engine = await createEngine(base, { isa });
      found.push(engine.info.isa as typeof isa);
    } catch {
      console.warn(`${isa}: not run, this machine has none`);
    }
  }
  if ('gpu' in globalThis) expect(found).toContain('cuda');
  return found;
}

async function addGoldenTask(engine: Engine, base: BaseModel, golden: GoldenCase): Promise<TaskHandle> {
  const adapter = (name: string | null) =>
    name === null ? null : openAdapter(goldenAdapter(name), base.config);
  return engine.addTask({
    plan: golden.plan,
    taskAdapter: await adapter(golden.task_adapter),
    experts: await Promise.all(
      golden.experts.map(async (expert) => ({
        adapter: await adapter(expert.adapter),
        invocationTokens: expert.invocation_tokens,
        head: { weight: Float32Array.from(expert.head.weight), bias: expert.head.bias },
      })),
    ),
  });
}

function toBatch(task: TaskHandle, golden: GoldenCase): Batch {
  return {
    task,
    prompts: golden.prompts.map((tokens) => Int32Array.from(tokens)),
    candidates: golden.candidates.map(({ prompt, tokens }) => ({ prompt, tokens: Int32Array.from(tokens) })),
  };
}

describe.each(bases)('base %s', (name) => {
  let base: BaseModel;
  const engines = new Map<string, Engine>();
  const own = cases.filter((golden) => golden.base === name);

  beforeAll(async () => {
    base = await openBase(goldenBase(name));
    for (const isa of await machineIsas(base))
      engines.set(isa, await createEngine(base, { isa, threads: 2, weightType: 'f32' }));
  });

  afterAll(async () => {
    for (const engine of engines.values()) await engine[Symbol.asyncDispose]();
  });

  it.each(own.map((golden) => [golden.name, golden] as const))(
    '%s equals transformers + PEFT',
    async (_, golden) => {
      const expected = await readExpected(golden);
      expect(engines.size).toBeGreaterThan(0);
      for (const engine of engines.values()) {
        const task = await addGoldenTask(engine, base, golden);
        const {
          outputs: [{ embeddings, scores }],
        } = await engine.evaluate([toBatch(task, golden)]);
        expect(relativeError(embeddings, expected.embeddings)).toBeLessThan(TOLERANCES.float32Embeddings);
        expect(relativeError(scores, expected.scores)).toBeLessThan(TOLERANCES.float32Scores);
        await engine.removeTask(task);
      }
    },
  );

  it.each([
    ['bf16', TOLERANCES.bfloat16Embeddings],
    ['stored', TOLERANCES.bfloat16Embeddings],
    ['int8', TOLERANCES.int8Embeddings],
  ] as const)(
    'is close with %s weights',
    async (weightType, tolerance) => {
      for (const isa of engines.keys() as MapIterator<NonNullable<EngineOptions['isa']>>) {
        if (isa === 'cuda' && weightType === 'stored') continue;
        await using engine = await createEngine(base, { weightType, isa });
        for (const golden of own) {
          const expected = await readExpected(golden);
          const task = await addGoldenTask(engine, base, golden);
          const {
            outputs: [{ embeddings }],
          } = await engine.evaluate([toBatch(task, golden)]);
          expect(relativeError(embeddings, expected.embeddings)).toBeLessThan(tolerance);
          await engine.removeTask(task);
        }
      }
    },
    120_000,
  ); // an emulated GPU takes its time
});

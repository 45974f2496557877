import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAdapter, openBase, type BaseModel } from '@dmoerm/weights';
import { goldenAdapter, goldenBase } from '@dmoerm/testing';
import { createEngine, type Engine, type EngineOptions, type ExpertSpec, type TaskSpec } from './engine';
import { loadAddon } from './load';

describe('the native boundary answers bad input with typed errors', () => {
  let base: BaseModel;
  let engine: Engine;
  const ids = (...tokens: number[]) => Int32Array.from(tokens);

  beforeAll(async () => {
    base = await openBase(goldenBase('llama'));
    engine = await createEngine(base, { threads: 1 });
  });

  afterAll(() => engine[Symbol.asyncDispose]());

  const expert = (changes: Partial<ExpertSpec> = {}): ExpertSpec => ({
    adapter: null,
    invocationTokens: [],
    head: { weight: new Float32Array(base.config.hiddenSize), bias: 0 },
    ...changes,
  });
  const full = (...experts: ExpertSpec[]): TaskSpec => ({
    plan: { type: 'full' },
    taskAdapter: null,
    experts,
  });
  const request = (prompt: Int32Array, ...candidates: Int32Array[]) => ({
    prompts: [prompt],
    candidates: candidates.map((tokens) => ({ prompt: 0, tokens })),
  });

  it.each([
    [
      'a token outside the vocabulary',
      () => request(ids(5), ids(6), ids(1e6)),
      'UNKNOWN_TOKEN',
      'candidates[1]',
    ],
    ['a negative token', () => request(ids(-1), ids(6)), 'UNKNOWN_TOKEN', 'prompts[0]'],
    ['an empty candidate', () => request(ids(5), ids()), 'EMPTY_CANDIDATE', 'candidates[0]'],
    ['an over-long candidate', () => request(ids(5), new Int32Array(100_000)), 'TOO_LONG', 'candidates[0]'],
    [
      'an unknown prompt',
      () => ({ prompts: [ids(5)], candidates: [{ prompt: 1, tokens: ids(6) }] }),
      'UNKNOWN_PROMPT',
      'candidates[0].prompt',
    ],
  ])('%s', async (_, bad, reason, field) => {
    const task = await engine.addTask(full(expert()));
    await expect(engine.evaluate([{ task, ...bad() }])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason,
      field: `batches[0].${field}`,
    });
    await expect(engine.evaluate([{ task, ...request(ids(5), ids(6)) }])).resolves.toBeDefined();
    await engine.removeTask(task);
  });

  it('a batch without candidates gives empty outputs', async () => {
    const task = await engine.addTask(full(expert()));
    const { outputs } = await engine.evaluate([{ task, prompts: [], candidates: [] }]);
    expect(outputs).toEqual([{ embeddings: new Float32Array(0), scores: new Float32Array(0) }]);
    expect((await engine.evaluate([])).outputs).toEqual([]);
  });

  it('a head of another size, a head with NaN, no experts, and plan misuse are refused by name', async () => {
    const wrong = { weight: new Float32Array(3), bias: 0 };
    await expect(engine.addTask(full(expert({ head: wrong })))).rejects.toMatchObject({
      reason: 'HEAD_FOR_ANOTHER_BASE',
    });
    const nan = { weight: new Float32Array(base.config.hiddenSize).fill(NaN), bias: 0 };
    await expect(engine.addTask(full(expert({ head: nan })))).rejects.toMatchObject({
      reason: 'NON_FINITE_WEIGHT',
    });
    await expect(engine.addTask(full())).rejects.toMatchObject({ reason: 'NO_EXPERTS' });
    await expect(engine.addTask(full(expert({ invocationTokens: [3] })))).rejects.toMatchObject({
      reason: 'BAD_INVOCATION_TOKENS',
      field: 'experts[0].invocation_tokens',
    });
    await expect(engine.addTask({ ...full(expert()), plan: { type: 'readout' } })).rejects.toMatchObject({
      reason: 'BAD_INVOCATION_TOKENS',
    });
    const adapter = await openAdapter(goldenAdapter('qv'), base.config);
    const top: TaskSpec = { ...full(expert({ adapter })), plan: { type: 'top_layers', layers: 1 } };
    await expect(engine.addTask(top)).rejects.toMatchObject({ reason: 'ADAPTER_BELOW_FORK' });
    await expect(engine.addTask({ ...top, plan: { type: 'top_layers', layers: 99 } })).rejects.toMatchObject({
      reason: 'BAD_PLAN',
    });
  });

  it('use after removal and after disposal is an error, not a crash', async () => {
    const task = await engine.addTask(full(expert()));
    await engine.removeTask(task);
    await expect(engine.removeTask(task)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(engine.evaluate([{ task, ...request(ids(5), ids(6)) }])).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    const other = await createEngine(base, { threads: 1 });
    const own = await other.addTask(full(expert()));
    await other[Symbol.asyncDispose]();
    await expect(other.evaluate([{ task: own, ...request(ids(5), ids(6)) }])).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'ENGINE_DISPOSED',
    });
  });

  it('an aborted signal cancels a call that waits and one that runs; the next call is unharmed', async () => {
    const task = await engine.addTask(full(expert()));
    const long = {
      task,
      ...request(ids(5), ...Array.from({ length: 200 }, () => new Int32Array(60).fill(7))),
    };
    await expect(engine.evaluate([long], AbortSignal.abort())).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    const running = new AbortController();
    const call = engine.evaluate([long], running.signal);
    running.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(engine.evaluate([{ task, ...request(ids(5), ids(6)) }])).resolves.toBeDefined();
  });

  it('an unknown instruction set and a bad thread count name the fix', async () => {
    await expect(
      createEngine(base, { isa: 'sse9' as NonNullable<EngineOptions['isa']> }),
    ).rejects.toMatchObject({ reason: 'UNKNOWN_ISA' });
    await expect(createEngine(base, { threads: -1 })).rejects.toMatchObject({ reason: 'BAD_THREADS' });
  });

  it('runs on a GPU, or says why there is none', async () => {
    const found = await createEngine(base, { isa: 'cuda' }).catch((error: unknown) => error);
    if (found instanceof Error)
      return expect(found).toMatchObject({
        code: 'UNIMPLEMENTED',
        reason: 'CUDA_NOT_AVAILABLE',
        field: 'isa',
      });
    await using gpu = found as Engine;
    expect(gpu.info).toMatchObject({ backend: 'cuda', isa: 'cuda', weightType: 'bf16' });
    await expect(createEngine(base, { isa: 'cuda', weightType: 'stored' })).rejects.toMatchObject({
      reason: 'WEIGHT_TYPE_NOT_SUPPORTED',
      field: 'weightType',
    });
  });

  it('mistyped DTO fields throw a TypeError that names the field', () => {
    const native = new (loadAddon().NativeEngine)();
    expect(() => native.load({} as never, {} as never)).toThrow(/field config must be an object/);
    expect(() =>
      native.evaluate({ batches: [{ task: 1, prompts: [[1, 2]], candidates: [] }] } as never),
    ).toThrow(/field prompts must be Int32Array/);
    expect(() => loadAddon().NativeEngine.prototype.dispose.call({})).toThrow();
  });
});

describe('a damaged base is refused while loading', () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmoerm-base-'));
    file = join(folder, 'model.safetensors');
    for (const name of ['config.json', 'model.safetensors'])
      writeFileSync(join(folder, name), readFileSync(join(goldenBase('llama-bias'), name)));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it('NaN in any kind of tensor is found and named', async () => {
    const base = await openBase(folder);
    for (const name of [
      'embed_tokens.weight',
      'norm.weight',
      'layers.1.self_attn.q_proj.weight',
      'layers.0.mlp.down_proj.bias',
    ]) {
      const bytes = readFileSync(join(goldenBase('llama-bias'), 'model.safetensors'));
      bytes.writeFloatLE(NaN, (base.tensors.get(name)?.offset ?? 0) + 4);
      writeFileSync(file, bytes);
      await expect(createEngine(base)).rejects.toMatchObject({
        code: 'DATA_LOSS',
        reason: 'NON_FINITE_WEIGHT',
        field: name,
      });
    }
  });

  it('a file cut after its header was read is found, not followed past its end', async () => {
    const base = await openBase(folder);
    truncateSync(file, readFileSync(file).length - 8);
    await expect(createEngine(base)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      reason: 'TENSOR_OUT_OF_BOUNDS',
    });
  });

  it('a missing tensor and a wrong shape are named', async () => {
    const base = await openBase(folder);
    const without = new Map(base.tensors);
    without.delete('layers.2.mlp.up_proj.weight');
    await expect(createEngine({ ...base, tensors: without })).rejects.toMatchObject({
      reason: 'MISSING_TENSOR',
      field: 'layers.2.mlp.up_proj.weight',
    });
    const config = { ...base.config, ffnSize: base.config.ffnSize + 1 };
    await expect(createEngine({ ...base, config })).rejects.toMatchObject({ reason: 'WRONG_SHAPE' });
  });
});

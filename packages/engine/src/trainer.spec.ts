import { openAdapter, openBase, writeAdapter, type BaseModel } from '@dmoerm/weights';
import { goldenAdapter, goldenBase, relativeError, TOLERANCES } from '@dmoerm/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEngine } from './engine';
import { readLearned } from './learned';
import {
  createTrainer,
  type LearnerSpec,
  type LearningBatch,
  type Trainer,
  type TrainerOptions,
} from './trainer';

const TARGETS = ['q_proj', 'v_proj', 'down_proj'] as const;
let base: BaseModel;

beforeAll(async () => {
  base = await openBase(goldenBase('llama'));
});

const ids = (count: number, seed: number) =>
  Int32Array.from({ length: count }, (_, i) => 20 + ((i * 7 + seed * 31) % 200));

function learner(changes: Partial<LearnerSpec> & { readonly firstLayer?: number } = {}): LearnerSpec {
  const { firstLayer = 0, ...rest } = changes;
  const layers = Array.from({ length: base.config.layerCount - firstLayer }, (_, i) => firstLayer + i);
  const adapter = layers.flatMap((layer) =>
    TARGETS.map((target) => ({ layer, target, rank: 4, scale: 0.5 })),
  );
  return { adapter, ...rest };
}

/** Opens a trainer whose parameters are small numbers of their own. */
async function open(options: Partial<TrainerOptions> & Pick<TrainerOptions, 'experts'>): Promise<Trainer> {
  const trainer = await createTrainer(base, { plan: { type: 'full' }, weightType: 'f32', ...options });
  for (const { name, shape } of trainer.parameters) {
    // An expert's numbers do not depend on its index.
    const seed = [...name.replace(/^experts\.\d+/, '')].reduce(
      (sum, c) => (sum * 31 + c.charCodeAt(0)) % 1000,
      7,
    );
    const count = shape.reduce((a, b) => a * b, 1);
    await trainer.write(
      name,
      Float32Array.from({ length: count }, (_, i) => 0.2 * Math.sin(seed + i * i)),
    );
  }
  return trainer;
}

const batch = (expert: number, seed = 1): LearningBatch => ({
  expert,
  prompts: [ids(9, seed), ids(30, seed + 1)],
  candidates: [
    { prompt: 0, tokens: ids(12, seed + 2) },
    { prompt: 0, tokens: ids(5, seed + 3) },
    { prompt: 1, tokens: ids(17, seed + 4) },
    { prompt: 1, tokens: ids(3, seed + 5) },
  ],
  pairs: [
    { first: 0, second: 1, target: 1, weight: 0.5 },
    { first: 3, second: 2, target: 1, weight: 0.5 },
  ],
});

/** Everything that an expert has learned so far, as bytes. */
async function stateOf(trainer: Trainer, expert: number): Promise<Buffer> {
  const own = trainer.parameters.filter(({ name }) => name.startsWith(`experts.${expert}.`));
  const parts: Uint8Array[] = [];
  for (const { name } of own)
    for (const field of ['value', 'first_moment', 'second_moment'] as const)
      parts.push(Buffer.from((await trainer.read(name, field)).buffer));
  return Buffer.concat(parts);
}

async function steps(
  trainer: Trainer,
  experts: readonly number[],
  first: number,
  last: number,
): Promise<void> {
  for (let step = first; step <= last; step++) {
    await trainer.learn(
      experts.map((expert) => batch(expert, step)),
      step,
    );
    for (const expert of experts) await trainer.update(expert, { learningRate: 1e-3, step });
  }
}

describe.each(['f32', 'bf16'] as const)('learning in %s', (weightType) => {
  it.each([
    { plan: { type: 'full' }, spec: {} },
    { plan: { type: 'top_layers', layers: 2 }, spec: { firstLayer: 2 } },
    { plan: { type: 'readout' }, spec: { invocationTokens: [7, 8] } },
  ] as const)('$plan.type: an expert has the same bits beside others and alone', async ({ plan, spec }) => {
    const one = learner({ ...spec, dropout: 0.2 });
    // What another appends moves this one's rows.
    const other = plan.type === 'readout' ? { ...one, invocationTokens: [9, 10, 11] } : one;
    await using together = await open({ plan, weightType, experts: [one, other, one], threads: 2 });
    await using alone = await open({ plan, weightType, experts: [one], threads: 1 });
    await steps(together, [2, 0, 1], 1, 2);
    await steps(alone, [0], 1, 2);
    const state = await stateOf(alone, 0);
    for (const expert of plan.type === 'readout' ? [0, 2] : [0, 1, 2])
      expect((await stateOf(together, expert)).equals(state)).toBe(true);
    await steps(alone, [0], 3, 3);
    expect((await stateOf(alone, 0)).equals(state)).toBe(false);
  });

  it('goes on bit for bit from what was read before', async () => {
    const experts = [learner({ dropout: 0.1 })];
    await using whole = await open({ weightType, experts });
    await using first = await open({ weightType, experts });
    await steps(whole, [0], 1, 4);
    await steps(first, [0], 1, 2);
    await using second = await open({ weightType, experts });
    for (const { name } of first.parameters)
      for (const field of ['value', 'first_moment', 'second_moment'] as const)
        await second.write(name, await first.read(name, field), field);
    await steps(second, [0], 3, 4);
    expect((await stateOf(second, 0)).equals(await stateOf(whole, 0))).toBe(true);
  });
});

it('hidden states from `trunk` give the bits of computed ones', async () => {
  const options = { plan: { type: 'top_layers', layers: 2 }, experts: [learner({ firstLayer: 2 })] } as const;
  await using trainer = await open(options);
  const asked = batch(0);
  const trunk = await trainer.trunk(asked);
  const computed = await trainer.learn([asked], 1);
  const gradient = await trainer.read('experts.0.layers.2.self_attn.q_proj.lora_A', 'gradient');
  await trainer.update(0, { learningRate: 0, step: 1 });
  expect(await trainer.learn([{ ...asked, trunk }], 1)).toEqual(computed);
  expect(await trainer.read('experts.0.layers.2.self_attn.q_proj.lora_A', 'gradient')).toEqual(gradient);
});

it.each([0, 0.3])('gradients with dropout %p are those of the loss that they belong to', async (dropout) => {
  await using trainer = await open({ experts: [learner({ dropout })] });
  const loss = async () =>
    (await trainer.learn([batch(0)], 5)).reduce((sum, { pairLoss }) => sum + pairLoss, 0);
  await loss();
  for (const name of [
    'layers.1.mlp.down_proj.lora_B',
    'layers.0.self_attn.q_proj.lora_A',
    'layers.3.self_attn.v_proj.lora_A',
  ]) {
    const full = `experts.0.${name}`;
    await trainer.update(0, { learningRate: 0, step: 1 });
    await loss();
    const gradient = await trainer.read(full, 'gradient');
    const value = await trainer.read(full);
    const length = Math.hypot(...gradient);
    const at = async (distance: number) => {
      await trainer.write(
        full,
        value.map((v, i) => v + (distance * (gradient[i] ?? 0)) / length),
      );
      return loss();
    };
    const slope = ((await at(0.02)) - (await at(-0.02))) / 0.04;
    await trainer.write(full, value);
    expect(Math.abs(slope - length) / length).toBeLessThan(TOLERANCES.finiteDifferences);
  }
});

it('a task adapter is part of the base', async () => {
  const taskAdapter = await openAdapter(goldenAdapter('task-a'), base.config);
  await using trainer = await open({ experts: [learner()], taskAdapter });
  await using engine = await createEngine(base, { weightType: 'f32' });
  const weight = await trainer.read('experts.0.head.weight');
  const [bias = NaN] = await trainer.read('experts.0.head.bias');
  for (const { name } of trainer.parameters)
    if (name.endsWith('lora_B')) await trainer.write(name, (await trainer.read(name)).fill(0));
  const experts = [{ adapter: null, invocationTokens: [], head: { weight, bias } }];
  const task = await engine.addTask({ plan: { type: 'full' }, taskAdapter, experts });
  const { outputs } = await engine.evaluate([{ ...batch(0), task }]);
  const [scored] = await trainer.score([batch(0)]);
  expect(relativeError(scored?.embeddings ?? [], outputs[0].embeddings)).toBeLessThan(
    TOLERANCES.float32Embeddings,
  );
  await using without = await open({ experts: [learner()] });
  expect((await without.score([batch(0)]))[0]?.embeddings).not.toEqual(scored?.embeddings);
});

it('dropout leaves out inputs while learning only, and by its seed', async () => {
  await using trainer = await open({ experts: [learner({ dropout: 0.5 })] });
  const [scored] = await trainer.score([batch(0)]);
  const [first] = await trainer.learn([batch(0)], 1);
  const [again] = await trainer.learn([batch(0)], 1);
  const [other] = await trainer.learn([batch(0)], 2);
  expect(again?.scores).toEqual(first?.scores);
  expect(other?.scores).not.toEqual(first?.scores);
  expect(scored?.scores).not.toEqual(first?.scores);
  expect((await trainer.score([batch(0)]))[0]?.scores).toEqual(scored?.scores);
});

it('scores as the engine does with the learned adapter, written for PEFT', async () => {
  const spec = learner();
  await using trainer = await open({ experts: [spec] });
  await steps(trainer, [0], 1, 2);
  const folder = await mkdtemp(join(tmpdir(), 'dmoerm-adapter-'));
  try {
    const { modules, head } = await readLearned(trainer, 0, spec);
    const written = { modules, invocationTokens: null, head: null, baseName: 'llama' };
    await writeAdapter(join(folder, 'expert'), written, base.config);
    await using engine = await createEngine(base, { weightType: 'f32' });
    const adapter = await openAdapter(join(folder, 'expert'), base.config);
    const experts = [{ adapter, invocationTokens: [], head }];
    const task = await engine.addTask({ plan: { type: 'full' }, taskAdapter: null, experts });
    const { outputs } = await engine.evaluate([{ ...batch(0), task }]);
    const [scored] = await trainer.score([batch(0)]);
    expect(relativeError(scored?.embeddings ?? [], outputs[0].embeddings)).toBeLessThan(
      TOLERANCES.float32Embeddings,
    );
    expect(relativeError(scored?.scores ?? [], outputs[0].scores)).toBeLessThan(TOLERANCES.float32Scores);
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('learns to tell candidates apart', async () => {
  await using trainer = await open({ experts: [learner()] });
  const [before] = await trainer.score([batch(0)]);
  for (let step = 1; step <= 30; step++) {
    await trainer.learn([batch(0)], step);
    await trainer.update(0, { learningRate: 1e-2, step });
  }
  const [after] = await trainer.score([batch(0)]);
  expect(after?.pairLoss).toBeLessThan((before?.pairLoss ?? 0) / 10);
});

describe('next tokens', () => {
  const plans = [
    { plan: { type: 'full' }, spec: {} },
    { plan: { type: 'top_layers', layers: 2 }, spec: { firstLayer: 2 } },
  ] as const;
  /** Weights of both signs for the 12 + 5 tokens of two candidates of one prompt. */
  const weights = Float32Array.from({ length: 17 }, (_, i) => Math.sin(3 * i + 1));
  const texts = { expert: 0, prompts: [ids(9, 1)], candidates: batch(0).candidates.slice(0, 2), pairs: [] };

  it.each(plans)('$plan.type: have the gradients of finite differences', async ({ plan, spec }) => {
    await using trainer = await open({ plan, experts: [learner(spec)] });
    const one = { ...texts, tokenWeights: weights };
    await trainer.learn([one], 1);
    const name = 'experts.0.layers.3.self_attn.v_proj.lora_A';
    const [values, gradient] = [await trainer.read(name), await trainer.read(name, 'gradient')];
    const direction = gradient.map((g) => g / Math.hypot(...gradient));
    const loss = async (by: number): Promise<number> => {
      await trainer.write(
        name,
        values.map((v, i) => v + by * (direction[i] ?? 0)),
      );
      const [result] = await trainer.score([one]);
      return result?.tokenLoss ?? NaN;
    };
    const step = 1e-2;
    const slope = ((await loss(step)) - (await loss(-step))) / (2 * step);
    expect(slope / Math.hypot(...gradient)).toBeCloseTo(1, 2);
  });

  it('are told by the prompt and what came of the response: one text has the same log-probabilities', async () => {
    await using trainer = await open({ experts: [learner()] });
    const [split] = await trainer.score([{ ...texts, tokenWeights: weights.map(() => 1) }]);
    const whole = texts.candidates.map(({ tokens }) => Int32Array.of(...ids(9, 1), ...tokens));
    const [joined] = await trainer.score([
      {
        ...texts,
        prompts: [new Int32Array(0)],
        candidates: whole.map((tokens) => ({ prompt: 0, tokens })),
        tokenWeights: Float32Array.from(whole.flatMap((tokens) => [...tokens].map((_, t) => Number(t >= 9)))),
      },
    ]);
    const asked = joined?.tokenLogProbs.filter((_, i) => (i < 21 ? i >= 9 : i >= 30));
    expect([...(split?.tokenLogProbs ?? [])]).toEqual([...(asked ?? [])]);
    expect(split?.tokenLoss).toBeCloseTo(-[...(asked ?? [])].reduce((a, b) => a + b, 0), 3);
  });

  it('push down what they pushed up when their weights change sign', async () => {
    const gradients = async (sign: number): Promise<Float32Array> => {
      await using trainer = await open({ experts: [learner()] });
      await trainer.learn([{ ...texts, tokenWeights: weights.map((w) => sign * w) }], 1);
      return trainer.read('experts.0.layers.3.mlp.down_proj.lora_B', 'gradient');
    };
    const up = await gradients(1);
    expect(Math.hypot(...up)).toBeGreaterThan(0);
    expect([...(await gradients(-1))]).toEqual([...up].map((g) => -g));
  });

  it('are those that the engine draws: their log-probabilities are its own', async () => {
    await using trainer = await open({ experts: [{ adapter: [] }], trainBase: false });
    await using engine = await createEngine(base, { weightType: 'f32' });
    const [completions = []] = await engine.generate({
      prompts: [{ tokens: ids(9, 1), seed: 3 }],
      samples: 2,
      maxTokens: 6,
    });
    const candidates = completions.map(({ tokens }) => ({ prompt: 0, tokens }));
    const count = candidates.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const [result] = await trainer.score([
      { ...texts, candidates, tokenWeights: new Float32Array(count).fill(1) },
    ]);
    const drawn = completions.flatMap(({ logProbs }) => [...logProbs]);
    expect(drawn).toHaveLength(count);
    drawn.forEach((own, i) => expect(result?.tokenLogProbs[i]).toBeCloseTo(own, 3));
  });

  it('leave those that nobody asked for out', async () => {
    await using trainer = await open({ experts: [learner()] });
    const some = weights.map((w, i) => (i % 3 === 0 ? 0 : w));
    const [all] = await trainer.score([{ ...texts, tokenWeights: weights }]);
    const [result] = await trainer.score([{ ...texts, tokenWeights: some }]);
    expect([...(result?.tokenLogProbs ?? [])]).toEqual(
      [...(all?.tokenLogProbs ?? [])].map((one, i) => (i % 3 === 0 ? 0 : one)),
    );
    expect((await trainer.score([texts]))[0]?.tokenLogProbs).toHaveLength(0);
  });
});

describe('what cannot be learned is refused by name', () => {
  it.each([
    [{ experts: [] }, 'NO_EXPERTS'],
    [{ experts: [{ adapter: [], dropout: 1 }] }, 'BAD_DROPOUT'],
    [{ experts: [{ adapter: [{ layer: 99, target: 'q_proj', rank: 4, scale: 1 }] }] }, 'BAD_ADAPTER'],
    [{ experts: [{ adapter: [], invocationTokens: [3] }] }, 'BAD_INVOCATION_TOKENS'],
    [{ experts: [{ adapter: [] }, { adapter: [] }], trainBase: true }, 'BASE_WITH_EXPERTS'],
    [{ experts: [{ adapter: [] }], plan: { type: 'top_layers', layers: 9 } }, 'BAD_PLAN'],
  ] as const)('options %#', async (options, reason) => {
    await expect(createTrainer(base, { plan: { type: 'full' }, ...options })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason,
    });
  });

  it.each([
    [{ pairs: [{ first: 0, second: 9, target: 1, weight: 1 }] }, 'BAD_PAIR', 'batches[0].pairs'],
    [{ pairs: [{ first: 0, second: 1, target: 2, weight: 1 }] }, 'BAD_PAIR', 'batches[0].pairs'],
    [{ expert: 1 }, 'UNKNOWN_EXPERT', 'batches[0].task'],
    [{ tokenWeights: new Float32Array(36) }, 'BAD_TOKEN_WEIGHT', 'batches[0].token_weights'],
    [{ tokenWeights: new Float32Array(38) }, 'BAD_TOKEN_WEIGHT', 'batches[0].token_weights'],
    [{ tokenWeights: new Float32Array(37).fill(NaN) }, 'BAD_TOKEN_WEIGHT', 'batches[0].token_weights'],
    [
      { prompts: [new Int32Array(0), ids(3, 1)], tokenWeights: new Float32Array(37).fill(1) },
      'BAD_TOKEN_WEIGHT',
      'batches[0].token_weights',
    ],
    [{ trunk: new Float32Array(7) }, 'BAD_TRUNK', 'batches[0].trunk'],
    [{ prompts: [ids(1, 1), Int32Array.of(-4)] }, 'UNKNOWN_TOKEN', 'batches[0].prompts[1]'],
  ])('batch %#', async (change, reason, field) => {
    await using trainer = await open({ experts: [learner()] });
    await expect(trainer.learn([{ ...batch(0), ...change }], 1)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason,
      field,
    });
    await expect(trainer.learn([batch(0)], 1)).resolves.toHaveLength(1);
  });

  it('a GPU that is not there', async () => {
    const found = await open({ experts: [learner()], isa: 'cuda' }).catch((error: unknown) => error);
    if (found instanceof Error)
      return expect(found).toMatchObject({ reason: 'CUDA_NOT_AVAILABLE', field: 'isa' });
    await using trainer = found as Trainer;
    expect(trainer.isa).toBe('cuda');
  });

  it('parameters of another size, not finite, or unknown', async () => {
    await using trainer = await open({ experts: [learner()] });
    const bias = 'experts.0.head.bias';
    await expect(trainer.write(bias, new Float32Array(2))).rejects.toMatchObject({ reason: 'WRONG_SHAPE' });
    await expect(trainer.write(bias, Float32Array.of(NaN))).rejects.toMatchObject({ reason: 'NON_FINITE' });
    await expect(trainer.read('nothing')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(trainer.update('base', { learningRate: 1, step: 1 })).rejects.toMatchObject({
      reason: 'UNKNOWN_UNIT',
    });
  });

  it('a pass that is cancelled, and a trainer that is gone', async () => {
    const trainer = await open({ experts: [learner()] });
    await expect(trainer.learn([batch(0)], 1, AbortSignal.abort())).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    await trainer[Symbol.asyncDispose]();
    await expect(trainer.learn([batch(0)], 1)).rejects.toMatchObject({ reason: 'TRAINER_DISPOSED' });
  });
});

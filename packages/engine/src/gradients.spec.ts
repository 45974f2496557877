import { openAdapter, openBase, readTensorF32 } from '@dmoerm/weights';
import {
  goldenAdapter,
  goldenBase,
  readGoldenGradients,
  TOLERANCES,
  type GoldenGradients,
} from '@dmoerm/testing';
import { createTrainer, type LearningBatch, type Trainer, type TrainerOptions } from './trainer';

const cases = readGoldenGradients();

/** A trainer with the case's adapters and heads. */
async function openGolden(golden: GoldenGradients, options: Partial<TrainerOptions> = {}): Promise<Trainer> {
  const base = await openBase(goldenBase(golden.base));
  const adapters = await Promise.all(
    golden.experts.map(async ({ adapter }) =>
      adapter === null ? null : openAdapter(goldenAdapter(adapter), base.config),
    ),
  );
  const trainer = await createTrainer(base, {
    plan: golden.plan,
    weightType: 'f32',
    trainBase: golden.learns_base,
    experts: golden.experts.map((expert, e) => ({
      adapter: (adapters[e]?.modules ?? []).map(({ layer, target, rank, scale }) => ({
        layer,
        target,
        rank,
        scale,
      })),
      invocationTokens: expert.invocation_tokens,
    })),
    ...options,
  });
  for (const [e, adapter] of adapters.entries()) {
    const { head } = golden.experts[e] as (typeof golden.experts)[number];
    await trainer.write(`experts.${e}.head.weight`, Float32Array.from(head.weight));
    await trainer.write(`experts.${e}.head.bias`, Float32Array.of(head.bias));
    for (const { layer, target, a, b } of adapter?.modules ?? []) {
      const block =
        target === 'gate_proj' || target === 'up_proj' || target === 'down_proj' ? 'mlp' : 'self_attn';
      const name = `experts.${e}.layers.${layer}.${block}.${target}`;
      await trainer.write(`${name}.lora_A`, await readTensorF32(a));
      await trainer.write(`${name}.lora_B`, await readTensorF32(b));
    }
  }
  return trainer;
}

function batchesOf(golden: GoldenGradients): LearningBatch[] {
  return golden.experts.map((_, expert) => ({
    expert,
    prompts: golden.prompts.map((tokens) => Int32Array.from(tokens)),
    candidates: golden.candidates.map(({ prompt, tokens }) => ({ prompt, tokens: Int32Array.from(tokens) })),
    pairs: golden.pairs,
    ...(golden.token_weight > 0 && { tokenWeights: weightsOf(golden) }),
  }));
}

/** Of every token of a candidate but its first. */
function weightsOf({ candidates, token_weight }: GoldenGradients): Float32Array {
  return Float32Array.from(
    candidates.flatMap(({ tokens }) => tokens.map((_, t) => (t === 0 ? 0 : token_weight))),
  );
}

/** Length, and projection on sin(1), sin(2), ... */
function summary(values: Float32Array): [number, number] {
  let squares = 0;
  let projection = 0;
  values.forEach((value, i) => {
    squares += value * value;
    projection += value * Math.sin(i + 1);
  });
  return [Math.sqrt(squares), projection];
}

/**
 * Largest error of a gradient's summary, relative to its length; to a thousandth of the longest where it is shorter than
 * that: some are 0 in theory, as the biases' of keys.
 */
async function gradientError(trainer: Trainer, golden: GoldenGradients): Promise<number> {
  const longest = Math.max(...Object.values(golden.gradients).map(([length]) => length));
  let worst = 0;
  for (const [name, [length, projection]] of Object.entries(golden.gradients)) {
    const [ownLength, ownProjection] = summary(await trainer.read(name, 'gradient'));
    const difference = Math.max(Math.abs(ownLength - length), Math.abs(ownProjection - projection));
    const error = difference / Math.max(length, longest / 1000);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

describe.each(cases.map((golden) => [golden.name, golden] as const))('%s', (_, golden) => {
  it.each(['reference', 'avx2', 'auto'] as const)('has the gradients of PyTorch on %s', async (isa) => {
    await using trainer = await openGolden(golden, { isa });
    if ('gpu' in globalThis && isa === 'auto') expect(trainer.isa).toBe('cuda');
    expect(trainer.parameters.map(({ name }) => name).sort()).toEqual(Object.keys(golden.gradients).sort());
    const losses = await trainer.learn(batchesOf(golden), 1);
    losses.forEach(({ pairLoss, tokenLoss }, e) => {
      expect(pairLoss).toBeCloseTo(golden.losses[e]?.pair ?? NaN, 4);
      expect(tokenLoss).toBeCloseTo(golden.losses[e]?.token ?? NaN, 4);
    });
    expect(await gradientError(trainer, golden)).toBeLessThan(TOLERANCES.float32Gradients);
  });

  it('is close in bfloat16', async () => {
    await using trainer = await openGolden(golden, { weightType: 'bf16' });
    await trainer.learn(batchesOf(golden), 1);
    expect(await gradientError(trainer, golden)).toBeLessThan(TOLERANCES.bfloat16Gradients);
  });
});

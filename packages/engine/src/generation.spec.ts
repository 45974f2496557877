import { openAdapter, openBase } from '@dmoerm/weights';
import { goldenAdapter, goldenBase, readGoldenGeneration, type GoldenGeneration } from '@dmoerm/testing';
import fc from 'fast-check';
import {
  createEngine,
  type Completion,
  type GeneratingEngine,
  type GenerationRequest,
  type TaskHandle,
} from './engine';

const cases = readGoldenGeneration();
const [llama] = cases as [GoldenGeneration];

async function openGolden(
  { base, task_adapter }: GoldenGeneration,
  isa: 'reference' | 'avx2' | 'auto',
  threads = 2,
): Promise<{ engine: GeneratingEngine; task?: TaskHandle }> {
  const model = await openBase(goldenBase(base));
  const engine = await createEngine(model, { weightType: 'f32', isa, threads });
  if (task_adapter === null) return { engine };
  const taskAdapter = await openAdapter(goldenAdapter(task_adapter), model.config);
  const head = { weight: new Float32Array(model.config.hiddenSize), bias: 0 };
  const experts = [{ adapter: null, invocationTokens: [], head }];
  return { engine, task: await engine.addTask({ plan: { type: 'full' }, taskAdapter, experts }) };
}

function promptsOf(golden: GoldenGeneration): GenerationRequest['prompts'] {
  return golden.prompts.map((tokens, seed) => ({ tokens: Int32Array.from(tokens), seed }));
}

describe.each(cases.map((golden) => [golden.name, golden] as const))('%s', (_, golden) => {
  it.each(['reference', 'avx2', 'auto'] as const)('continues as transformers on %s', async (isa) => {
    const { engine, task } = await openGolden(golden, isa);
    await using _engine = engine;
    const completions = await engine.generate({
      prompts: promptsOf(golden),
      temperature: 0,
      maxTokens: golden.completions[0]?.length ?? 0,
      ...(task && { task }),
    });
    golden.completions.forEach((expected, i) => {
      const [completion] = completions[i] ?? [];
      expect([...(completion?.tokens ?? [])]).toEqual(expected);
      golden.log_probs[i]?.forEach((logProb, at) => {
        expect(Math.abs((completion?.logProbs[at] ?? NaN) - logProb)).toBeLessThan(1e-4);
      });
    });
  });
});

describe('sampling', () => {
  it('gives a completion the same tokens and log-probabilities whatever runs beside it', async () => {
    const { engine } = await openGolden(llama, 'auto');
    const { engine: other } = await openGolden(llama, 'auto', 1);
    await using _engine = engine;
    await using _other = other;
    const prompts = promptsOf(llama);
    const rest = { samples: 4, maxTokens: 12, temperature: 0.8, topP: 0.95, stopTokens: [7, 11, 13] };
    const all = await engine.generate({ prompts, ...rest });
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([0, 1, 2], { minLength: 1 }),
        fc.integer({ min: 1, max: 12 }),
        fc.boolean(),
        async (chosen, maxSequences, alone) => {
          const some = await (alone ? other : engine).generate({
            prompts: chosen.map((i) => prompts[i] as (typeof prompts)[number]),
            maxSequences,
            ...rest,
          });
          expect(some).toEqual(chosen.map((i) => all[i]));
        },
      ),
      { numRuns: 20 },
    );
  });

  it('gives log-probabilities of a forward pass over the whole sequence, to the bit', async () => {
    const { engine } = await openGolden(llama, 'auto');
    await using _engine = engine;
    const [prompt] = promptsOf(llama).slice(2);
    const greedy = async (tokens: readonly number[], maxTokens: number): Promise<Completion | undefined> => {
      const prompts = [{ tokens: Int32Array.from(tokens), seed: 0 }];
      const [[completion] = []] = await engine.generate({ prompts, maxTokens, temperature: 0 });
      return completion;
    };
    const whole = await greedy([...(prompt?.tokens ?? [])], 10);
    for (let n = 0; n < 10; n++) {
      // A prefix as the prompt: the next token's log-probability comes from one pass over all of it.
      const prefix = [...(prompt?.tokens ?? []), ...(whole?.tokens.subarray(0, n) ?? [])];
      const next = await greedy(prefix, 1);
      expect(next?.tokens[0]).toBe(whole?.tokens[n]);
      expect(next?.logProbs[0]).toBe(whole?.logProbs[n]);
    }
  });

  it('draws tokens as often as their probabilities say, none outside the nucleus', async () => {
    const { engine } = await openGolden(llama, 'auto');
    await using _engine = engine;
    const prompts = [{ tokens: Int32Array.of(25, 31), seed: 5 }];
    const samples = 4000;
    const [drawn = []] = await engine.generate({ prompts, samples, maxTokens: 1, maxSequences: 500 });
    const probability = new Map(drawn.map((one) => [one.tokens[0] ?? -1, Math.exp(one.logProbs[0] ?? NaN)]));
    const count = new Map<number, number>();
    for (const { tokens } of drawn) count.set(tokens[0] ?? -1, (count.get(tokens[0] ?? -1) ?? 0) + 1);
    for (const [token, p] of probability) {
      const expected = p * samples;
      expect(Math.abs((count.get(token) ?? 0) - expected)).toBeLessThan(5 * Math.sqrt(expected) + 5);
    }
    const likeliest = [...probability].sort((a, b) => b[1] - a[1]);
    const topP = (likeliest[0]?.[1] ?? 0) + (likeliest[1]?.[1] ?? 0) / 2;
    const [kept = []] = await engine.generate({ prompts, samples: 200, maxTokens: 1, topP });
    const allowed = new Set(likeliest.slice(0, 2).map(([token]) => token));
    expect(new Set(kept.map(({ tokens }) => tokens[0]))).toEqual(allowed);
  });

  it('ends with a stop token, and continues anew in its place', async () => {
    const { engine } = await openGolden(llama, 'auto');
    await using _engine = engine;
    const request = { prompts: promptsOf(llama), samples: 6, maxTokens: 20, maxSequences: 3 };
    const free = await engine.generate(request);
    const stop = free[0]?.[0]?.tokens[4] ?? -1;
    const stopped = await engine.generate({ ...request, stopTokens: [stop] });
    free.flat().forEach((completion, i) => {
      const at = completion.tokens.indexOf(stop);
      const expected = at < 0 ? completion.tokens : completion.tokens.subarray(0, at + 1);
      expect(stopped.flat()[i]?.tokens).toEqual(expected);
      expect(stopped.flat()[i]?.stopped).toBe(at >= 0);
    });
  });
});

describe('refused', () => {
  const prompts = [{ tokens: Int32Array.of(1, 2), seed: 0 }];
  it.each([
    ['samples', { samples: 0 }],
    ['maxSequences', { maxSequences: 0 }],
    ['sampling.maxTokens', { maxTokens: 0 }],
    ['sampling.temperature', { temperature: -1 }],
    ['sampling.temperature', { temperature: NaN }],
    ['sampling.topP', { topP: 0 }],
    ['sampling.topP', { topP: 1.1 }],
    ['sampling.stopTokens', { stopTokens: [-1] }],
    ['prompts[0]', { prompts: [{ tokens: Int32Array.of(), seed: 0 }] }],
    ['prompts[1]', { prompts: [...prompts, { tokens: Int32Array.of(99999), seed: 0 }] }],
    ['prompts[0]', { maxTokens: 100_000 }],
  ])('%s of %j', async (field, change) => {
    const { engine } = await openGolden(llama, 'auto');
    await using _engine = engine;
    const call = engine.generate({ prompts, maxTokens: 3, ...change });
    await expect(call).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });

  it('a base that was saved without its head', async () => {
    const base = await openBase(goldenBase('llama-bias'));
    const tensors = new Map([...base.tensors].filter(([name]) => name !== 'lm_head.weight'));
    await using engine = await createEngine({ ...base, tensors }, { weightType: 'f32' });
    await expect(engine.generate({ prompts, maxTokens: 3 })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'NO_LANGUAGE_MODEL_HEAD',
    });
  });

  it('ends when it is cancelled', async () => {
    const { engine } = await openGolden(llama, 'auto');
    await using _engine = engine;
    const abort = new AbortController();
    const call = engine.generate({ prompts, samples: 2000, maxTokens: 400 }, abort.signal);
    abort.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

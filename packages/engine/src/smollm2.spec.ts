import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { GOLDENS_DIR, relativeError, TOLERANCES } from '@dmoerm/testing';
import { openBase } from '@dmoerm/weights';
import { createEngine } from './engine';

interface RealGoldens {
  readonly base: readonly { readonly file: string; readonly sha256: string }[];
  readonly hidden: readonly {
    readonly name: string;
    readonly ids: readonly number[];
    readonly embedding: readonly number[];
  }[];
}

const goldens = JSON.parse(readFileSync(join(GOLDENS_DIR, 'smollm2.json'), 'utf8')) as RealGoldens;
const [file] = goldens.base;
const cacheDir = process.env['DMOERM_CACHE'] ?? join(homedir(), '.cache', 'dmoerm');
const base = join(cacheDir, 'bases', file?.sha256 ?? '', file?.file ?? '');

it('SmolLM2-135M from its GGUF has the hidden states of transformers', async () => {
  if (!existsSync(base))
    return console.warn('not run: the real base is not in the cache (dmoerm base pull smollm2-135m)');
  const model = await openBase(base);
  await using engine = await createEngine(model, { weightType: 'f32' });
  const head = { weight: new Float32Array(model.config.hiddenSize), bias: 0 };
  const task = await engine.addTask({
    plan: { type: 'full' },
    taskAdapter: null,
    experts: [{ adapter: null, invocationTokens: [], head }],
  });
  const candidates = goldens.hidden.map(({ ids }) => ({ prompt: 0, tokens: Int32Array.from(ids) }));
  const {
    outputs: [{ embeddings }],
  } = await engine.evaluate([{ task, prompts: [new Int32Array(0)], candidates }]);
  const d = model.config.hiddenSize;
  expect(goldens.hidden.length).toBeGreaterThan(0);
  goldens.hidden.forEach(({ embedding }, n) =>
    expect(relativeError(embeddings.subarray(n * d, (n + 1) * d), embedding)).toBeLessThan(
      TOLERANCES.float32Embeddings,
    ),
  );
});

it('packed weights of SmolLM2-135M are written once, mapped at the next start, and written anew when damaged', async () => {
  if (!existsSync(base))
    return console.warn('not run: the real base is not in the cache (dmoerm base pull smollm2-135m)');
  const cacheDirectory = await mkdtemp(join(tmpdir(), 'dmoerm-packed-'));
  const model = await openBase(base);
  const head = { weight: new Float32Array(model.config.hiddenSize).fill(0.01), bias: 0 };
  const start = async () => {
    await using engine = await createEngine(model, { weightType: 'int8', cacheDirectory });
    const experts = [{ adapter: null, invocationTokens: [], head }];
    const task = await engine.addTask({ plan: { type: 'full' }, taskAdapter: null, experts });
    const candidates = [{ prompt: 0, tokens: Int32Array.from([1, 2, 3, 4, 5]) }];
    const { outputs } = await engine.evaluate([{ task, prompts: [new Int32Array(0)], candidates }]);
    return { packed: engine.info.packed, outputs };
  };
  try {
    const first = await start();
    expect(first.packed).toBe('written');
    expect(await start()).toEqual({ packed: 'mapped', outputs: first.outputs });
    const [file] = await readdir(cacheDirectory);
    await truncate(join(cacheDirectory, file ?? ''), 1_000_000);
    expect(await start()).toEqual(first);
  } finally {
    await rm(cacheDirectory, { recursive: true });
  }
});

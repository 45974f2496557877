import { createRandom } from '@dmoerm/core';
import {
  embedRows,
  openExperts,
  readUnit,
  unitFolder,
  writeUnit,
  type RecipeTask,
  type Run,
  type UnitResult,
  type ValueHead,
} from '@dmoerm/recipe';
import { relativeError } from '@dmoerm/testing';
import { openAdapter, readTensorF32 } from '@dmoerm/weights';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { proxiesOf, type BonSize, type Proxy } from './bon/design';
import { trainProxy } from './bon/proxies';
import { bonTables } from './bon/report';
import { studyBon } from './bon/study-bon';
import { GOLD_TASKS } from './gold/gold';
import { labelled, prepare } from './material';
import { RL_ARMS, type RlSize } from './rl/design';
import { rlTables } from './rl/report';
import { studyRl } from './rl/study-rl';

jest.setTimeout(300_000);

const SIZE: BonSize = {
  trainPrompts: 8,
  validPrompts: 14,
  pairs: 2,
  testPrompts: 2,
  samples: 8,
  newTokens: 16,
  promptTokens: 64,
  members: 2,
  epochs: 1,
  noises: [0.25],
  draws: 50,
};
const BASE = join(__dirname, '..', '..', '..', 'bundles', 'default', 'base');
const THINGS = ['river', 'house', 'school', 'garden', 'winter', 'bridge', 'letter', 'market'];
const ASKS = ['What do you know of the', 'Please help me with the', 'Where can I find the'];

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-study-'));
const data = join(folder, 'pairs.jsonl');
const options = { data, basePath: BASE, size: SIZE, work: join(folder, 'work'), threads: 1 };

beforeAll(() => {
  const splits = [
    ...Array.from({ length: SIZE.trainPrompts }, () => 'train'),
    ...Array.from({ length: SIZE.validPrompts }, () => 'valid'),
    ...Array.from({ length: SIZE.testPrompts }, () => 'test'),
  ];
  const rows = GOLD_TASKS.flatMap(({ name }, t) =>
    splits.map((split, i) => ({
      messages: [
        { role: 'user', content: `${ASKS[t]} ${THINGS[i % 8]} in the ${THINGS[Math.floor(i / 8)]}?` },
      ],
      chosen: 'I think that you can find it in the book.',
      rejected: 'No idea.',
      task: name,
      prompt_id: `${name}-${i}`,
      split,
    })),
  );
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('best-of-n goes from prompts to curves with intervals, and after a stop on from where it was', async () => {
  const stages: string[] = [];
  const report = await studyBon({ ...options, onStage: (stage) => stages.push(stage) });
  expect(stages.filter((stage) => stage.includes('proxy'))).toHaveLength(9);
  expect(report.arms.map(({ arm }) => arm)).toEqual(
    expect.arrayContaining(['single', 'ensemble_wco', 'klora_mean', 'dmoerm_full', 'dmoerm_uwo', 'longer']),
  );
  const start = report.arms[0]?.curve[0]?.value ?? NaN;
  for (const { arm, curve, final } of report.arms) {
    expect([arm, curve.length]).toEqual([arm, 4]);
    expect(curve[0]?.value).toBeCloseTo(start, 9);
    for (const value of [...final.interval, ...curve.map((point) => point.proxy)])
      expect(Number.isFinite(value)).toBe(true);
  }
  expect(bonTables(report)).toContain('| `dmoerm_top_layers`');

  const scores = join(options.work, 'noise-0.25', 'single-1', 'scores.json.gz');
  const kept = statSync(join(options.work, 'responses.json.gz')).mtimeMs;
  rmSync(scores);
  expect(await studyBon(options)).toEqual(report);
  expect(statSync(join(options.work, 'responses.json.gz')).mtimeMs).toBe(kept);
});

it('the mean of a model with itself is that model, and with another one it is not', async () => {
  const material = await prepare(options);
  const own = await labelled(material, 0.25, options);
  const proxies = proxiesOf(SIZE);
  const [single, averaged] = [proxies[0], proxies.find(({ name }) => name === 'weight_averaged')] as [
    Proxy,
    Proxy,
  ];
  const rollouts = material.prompts.slice(0, 2).map((prompt, p) => ({
    prompt,
    responses: material.responses[p] ?? [],
  }));
  /** A model whose adapter does much. */
  const loud = async (name: string, seed: number): Promise<Proxy> => {
    const proxy = { ...single, name };
    const run = await trainProxy(proxy, own);
    const folder = unitFolder(run, run.units[0] as Run['units'][number]);
    const done = await readUnit(folder);
    const random = createRandom(seed);
    const values = (count: number): Float32Array =>
      Float32Array.from({ length: count }, () => 0.1 * (random() - 0.5));
    const { config } = run.base;
    const adapter = await openAdapter(join(folder, 'adapter'), config);
    const modules = await Promise.all(
      adapter.modules.map(async ({ a, b, ...shape }) => ({
        ...shape,
        a: values((await readTensorF32(a)).length),
        b: values((await readTensorF32(b)).length),
      })),
    );
    const base = { config, name: 'base', type: 'F32' } as const;
    await writeUnit(folder, { modules, head: done?.head as ValueHead }, [], base, done?.result as UnitResult);
    return proxy;
  };
  const scores = async (proxy: Proxy): Promise<number[]> => {
    const run = await trainProxy(proxy, own);
    await using experts = await openExperts(run, run.selection.tasks[0]?.task as RecipeTask);
    const prompts = rollouts.map(({ prompt }) => prompt.tokens);
    const candidates = rollouts.map((_, prompt) => ({ prompt, tokens: Int32Array.of(40, 50, 60, 70) }));
    return [...(await embedRows(experts, { prompts, candidates }, 1, run.base.config.hiddenSize))];
  };
  await loud('loud-1', 1);
  await loud('loud-2', 2);
  const first = await scores({ ...single, name: 'loud-1' });
  const apart = async (name: string, averageOf: string[]): Promise<number> =>
    relativeError(await scores({ ...averaged, name, averageOf }), first);
  expect(await apart('twice', ['loud-1', 'loud-1'])).toBeLessThan(0.02);
  expect(await apart('both', ['loud-1', 'loud-2'])).toBeGreaterThan(0.05);
});

it('GRPO learns from the same proxies, and a run that is done is not made again', async () => {
  const size: RlSize = {
    steps: 1,
    prompts: 2,
    group: 2,
    learningRate: 1e-4,
    measureEvery: 1,
    measureSamples: 1,
    betas: [0.1],
    noise: 0.25,
    seeds: [1],
  };
  const report = await studyRl(options, size);
  expect(report.arms.map(({ arm }) => arm)).toEqual(RL_ARMS.map(({ name }) => name));
  for (const { curve } of report.arms) {
    expect(curve.map(({ step, kl }) => [step, Math.abs(kl) < 1e-3])).toEqual([
      [0, true],
      [1, expect.any(Boolean)],
    ]);
    // Whoever rewards, all begin with the same policy.
    expect(curve[0]?.value).toBe(report.arms[0]?.curve[0]?.value);
    for (const { proxy, value } of curve) expect([proxy, value].every(Number.isFinite)).toBe(true);
  }
  expect(rlTables(report)).toContain('| `dmoerm_uwo`');
  const begin = performance.now();
  expect(await studyRl(options, size)).toEqual(report);
  expect(performance.now() - begin).toBeLessThan(10_000);
});

it('refuses to go on with another study in the same folder', async () => {
  const size = { ...SIZE, samples: 4 };
  await expect(studyBon({ ...options, size })).rejects.toMatchObject({
    reason: 'ANOTHER_STUDY',
    field: '--work',
  });
});

it('says which prompts are missing', async () => {
  const size = { ...SIZE, testPrompts: 3 };
  await expect(studyBon({ ...options, size, work: join(folder, 'other') })).rejects.toMatchObject({
    reason: 'TOO_FEW_PROMPTS',
    field: '--data',
  });
});

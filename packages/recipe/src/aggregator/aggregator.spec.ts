import { createOnnxRunner } from '@dmoerm/onnx';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashedFeatures } from '@dmoerm/tokenizer';
import { aggregate, trainAggregator } from './aggregator';
import { encodeAggregator } from './encode';
import { fitPairHead, headScore, type EmbeddedPair, type ValueHead } from '../head';
import { createRandom, normal } from '@dmoerm/core';
import { createDataReader } from '@dmoerm/dataset';
import { ROUTER_FEATURES } from '../router-features';
import { encodeRouter, routerAccuracy, routeText, trainRouter, type RoutedText } from '../router';

jest.setTimeout(30_000);

const D = 24;
const ROUTES = join(__dirname, '../../../../examples/recipes/made-up-routes.jsonl');
const OPTIONS = { hidden: 4, heads: 3, epochs: 6, learningRate: 3e-3, weightDecay: 0.1, seed: 1 };

/** Pairs whose preferred side has the larger first coordinate, plus noise in the others. */
function pairs(count: number, seed: number): EmbeddedPair[] {
  const random = createRandom(seed);
  const vector = (first: number): Float32Array =>
    Float32Array.from({ length: D }, (_, i) => (i === 0 ? first : normal(random)));
  return Array.from({ length: count }, () => {
    const [a, b] = [normal(random), normal(random)];
    return { chosen: vector(Math.max(a, b)), rejected: vector(Math.min(a, b)) };
  });
}

/** Two experts that see half of the embeddings each: the first looks where the truth is, the second at noise. */
const HEADS: readonly ValueHead[] = [1, 0].map((first) => ({
  weight: Float32Array.from({ length: D / 2 }, (_, i) => (i === 0 ? first : i === 1 ? 1 : 0)),
  bias: 0,
}));

const share = (rows: readonly EmbeddedPair[], score: (u: Float32Array) => number): number =>
  rows.filter(({ chosen, rejected }) => score(chosen) > score(rejected)).length / rows.length;

it('a head learns what decides its pairs, and reversed labels learn the opposite', () => {
  const train = pairs(400, 1);
  const head = fitPairHead(train, 1);
  expect(share(pairs(300, 2), (u) => headScore(head, u))).toBeGreaterThan(0.9);
  const reversed = fitPairHead(
    train.map(({ chosen, rejected }) => ({ chosen: rejected, rejected: chosen })),
    1,
  );
  expect(share(pairs(300, 2), (u) => headScore(reversed, u))).toBeLessThan(0.1);
});

it('an aggregator begins as the best linear reward of embeddings or scores', () => {
  const aggregator = (train: readonly EmbeddedPair[]) =>
    trainAggregator(train, pairs(100, 5), HEADS, { ...OPTIONS, epochs: 0 });
  const test = pairs(300, 6);
  const accuracy = (train: readonly EmbeddedPair[]): number => {
    const own = aggregator(train);
    return share(test, (u) => aggregate(own, u));
  };
  const best = share(test, (u) => headScore(HEADS[0] as ValueHead, u.subarray(0, D / 2)));
  // Many pairs say which coordinate counts; a few say no more than which expert does.
  expect(accuracy(pairs(400, 4))).toBeGreaterThan(best + 0.1);
  expect(accuracy(pairs(6, 4))).toBeCloseTo(best, 1);
});

it('equal seeds train equal aggregators, other seeds others', () => {
  const [train, valid] = [pairs(100, 4), pairs(50, 5)];
  const same = [1, 2].map(() => encodeAggregator(trainAggregator(train, valid, HEADS, OPTIONS)));
  expect(same[0]).toEqual(same[1]);
  expect(encodeAggregator(trainAggregator(train, valid, HEADS, { ...OPTIONS, seed: 2 }))).not.toEqual(
    same[0],
  );
});

describe('what is exported says in ONNX what was trained', () => {
  let folder: string;
  const runner = createOnnxRunner();
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'dmoerm-probe-'))));
  afterAll(async () => {
    await runner[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  it('aggregator', async () => {
    const aggregator = trainAggregator(pairs(100, 8), pairs(50, 9), HEADS, OPTIONS);
    await writeFile(join(folder, 'a.onnx'), encodeAggregator(aggregator));
    const model = await runner.open(join(folder, 'a.onnx'));
    const u = pairs(1, 10)[0]?.chosen ?? new Float32Array();
    const [outputs] = await model.run([
      { embeddings: { type: 'float32', shape: [1, D], data: Float32Array.from(u) } },
    ]);
    const rewards = outputs?.['rewards']?.data as Float32Array;
    expect(rewards.length).toBe(OPTIONS.heads);
    expect(rewards.reduce((a, b) => a + b, 0) / rewards.length).toBeCloseTo(aggregate(aggregator, u), 4);
  });

  it('router, which tells made-up prompts apart', async () => {
    const labels = ['chat', 'harmlessness', 'text_creation'];
    const spec = { ...ROUTER_FEATURES, buckets: 2048 };
    const { rows } = await createDataReader().routes(ROUTES);
    const texts = rows
      .filter(({ label }) => labels.includes(label))
      .map(({ label, messages }) => ({ label, text: messages[0]?.content ?? '' }));
    const part = (first: number): RoutedText[] => texts.filter((_, i) => i % 3 === first);
    const router = trainRouter(part(0), part(1), { spec, ridges: [0.1] });
    expect(routerAccuracy(router, part(2))).toBeGreaterThan(0.9);
    await writeFile(join(folder, 'r.onnx'), encodeRouter(router));
    const model = await runner.open(join(folder, 'r.onnx'));
    const text = 'Write a poem about the sea.';
    const { indices, values, blocks } = hashedFeatures(text, spec);
    const [outputs] = await model.run([
      {
        indices: { type: 'int64', shape: [indices.length], data: BigInt64Array.from(indices, BigInt) },
        blocks: { type: 'int64', shape: [blocks.length], data: BigInt64Array.from(blocks, BigInt) },
        values: { type: 'float32', shape: [values.length], data: Float32Array.from(values) },
      },
    ]);
    const probabilities = [...(outputs?.['probabilities']?.data as Float32Array)];
    routeText(router, text).forEach((p, i) => expect(probabilities[i]).toBeCloseTo(p, 5));
  });
});

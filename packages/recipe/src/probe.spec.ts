import { createOnnxRunner } from '@dmoerm/onnx';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashedFeatures } from '@dmoerm/tokenizer';
import { aggregate, encodeAggregator, trainAggregator } from './aggregator';
import { fitPairHead, fitRatingHead, headScore, type EmbeddedPair } from './head';
import { makeUpPrompts } from './made-up-prompts';
import { createRandom, normal } from '@dmoerm/core';
import { ROUTER_FEATURES } from './router-features';
import { encodeRouter, routerAccuracy, routeText, trainRouter } from './router';

jest.setTimeout(30_000);

const D = 24;
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

it('a rating head gives ratings back as sigmoid(score)', () => {
  const rows = pairs(300, 3).map(({ chosen }) => ({
    embedding: chosen,
    rating: 1 / (1 + Math.exp(-(chosen[0] ?? 0) - 0.5)),
  }));
  const head = fitRatingHead(rows, 1e-3);
  for (const { embedding, rating } of rows.slice(0, 20))
    expect(1 / (1 + Math.exp(-headScore(head, embedding)))).toBeCloseTo(rating, 1);
});

it('equal seeds train equal aggregators, other seeds others', () => {
  const [train, valid] = [pairs(100, 4), pairs(50, 5)];
  const same = [1, 2].map(() => encodeAggregator(trainAggregator(train, valid, OPTIONS)));
  expect(same[0]).toEqual(same[1]);
  expect(encodeAggregator(trainAggregator(train, valid, { ...OPTIONS, seed: 2 }))).not.toEqual(same[0]);
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
    const aggregator = trainAggregator(pairs(100, 8), pairs(50, 9), OPTIONS);
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
    const router = trainRouter(makeUpPrompts(labels, 60, 1), makeUpPrompts(labels, 20, 2), {
      spec,
      ridges: [0.1],
    });
    expect(routerAccuracy(router, makeUpPrompts(labels, 50, 3))).toBeGreaterThan(0.9);
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

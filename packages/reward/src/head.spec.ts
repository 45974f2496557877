import { createOnnxRunner } from '@dmoerm/onnx';
import type { OnnxModel, OnnxRunner } from '@dmoerm/onnx';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHead } from './head';
import { MLP_MEANS, MLP_SHAPE, encodeMlp, noise } from '@dmoerm/testing';

const { experts, hiddenSize, heads } = MLP_SHAPE;
const width = experts * hiddenSize;
const candidates = Array.from({ length: 70 }, (_, i) => noise(width, 100 + i));
const bits = (values: Float32Array | undefined): string =>
  Buffer.from(Float32Array.from(values ?? []).buffer).toString('hex');

describe('createHead', () => {
  let directory: string;
  let runner: OnnxRunner;
  let model: OnnxModel;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dmoerm-head-'));
    const path = join(directory, 'mlp.onnx');
    await writeFile(path, encodeMlp());
    runner = createOnnxRunner();
    model = await runner.open(path);
  });
  afterAll(async () => {
    await runner[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  it('gives each candidate the same bits in a batch of any size', async () => {
    const head = createHead(model, MLP_MEANS, experts);
    const alone: string[] = [];
    for (const candidate of candidates) alone.push(bits((await head.rewards([candidate]))[0]));
    for (let size = 1; size <= candidates.length; size++) {
      const together = await head.rewards(candidates.slice(0, size));
      expect(together.map(bits)).toEqual(alone.slice(0, size));
    }
  });

  it('gives each candidate the same bits in any order', async () => {
    const head = createHead(model, MLP_MEANS, experts);
    const forwards = (await head.rewards(candidates)).map(bits);
    const backwards = (await head.rewards(candidates.toReversed())).map(bits);
    expect(backwards.toReversed()).toEqual(forwards);
  });

  it('answers with the reward and one row per expert taken away', async () => {
    const head = createHead(model, MLP_MEANS, experts);
    const [own] = await head.rewards([candidates[0] ?? MLP_MEANS]);
    expect(own).toHaveLength((1 + experts) * heads);
    const without = Float32Array.from(candidates[0] ?? MLP_MEANS);
    without.set(MLP_MEANS.subarray(hiddenSize, 2 * hiddenSize), hiddenSize);
    const [replaced] = await head.rewards([without]);
    const rowOfSecond = own?.subarray(2 * heads, 3 * heads);
    expect(rowOfSecond?.every((value, h) => Math.abs(value - (replaced?.[h] ?? NaN)) < 1e-4)).toBe(true);
  });

  it('moves no reward by taking away an expert that is at its mean', async () => {
    const [rows] = await createHead(model, MLP_MEANS, experts).rewards([MLP_MEANS]);
    for (let k = 1; k <= experts; k++)
      for (let h = 0; h < heads; h++) expect(rows?.[k * heads + h]).toBeCloseTo(rows?.[h] ?? NaN, 4);
  });
});

import type { Bundle } from '@dmoerm/bundle';
import { encodeOnnx } from '@dmoerm/onnx';
import { writeSafetensors } from '@dmoerm/weights';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Experts, width, hidden units and heads of the spec models: odd sizes, so that no kernel's block fits. */
export const SHAPE = { experts: 3, hiddenSize: 37, units: 29, heads: 3 } as const;

/** Numbers in [-1, 1) that look random and are the same in every run. */
export function noise(length: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** An MLP over the experts' embeddings, as the recipe writes it: embeddings [N, K * d] -> rewards [N, H]. */
export function encodeMlp({ experts, hiddenSize, units, heads } = SHAPE): Uint8Array {
  const width = experts * hiddenSize;
  const constant = (shape: readonly number[], seed: number) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { type: 'float32' as const, shape, data: noise(size, seed) };
  };
  return encodeOnnx({
    inputs: [{ name: 'embeddings', type: 'float32', shape: ['N', width] }],
    outputs: [{ name: 'rewards', type: 'float32', shape: ['N', heads] }],
    constants: {
      w1: constant([width, units], 1),
      b1: constant([units], 2),
      w2: constant([units, heads], 3),
      b2: constant([heads], 4),
    },
    nodes: [
      { operator: 'Gemm', inputs: ['embeddings', 'w1', 'b1'], outputs: ['h'] },
      { operator: 'Relu', inputs: ['h'], outputs: ['a'] },
      { operator: 'Gemm', inputs: ['a', 'w2', 'b2'], outputs: ['rewards'] },
    ],
  });
}

/** The experts' mean embeddings of the spec bundle [K * d]. */
export const MEANS = noise(SHAPE.experts * SHAPE.hiddenSize, 5);

/** The parts of a bundle that the aggregator reads: task `chat` with a learned aggregator, task `qa` without. */
export async function writeSpecBundle(directory: string, revision: string): Promise<Bundle> {
  const { experts, hiddenSize } = SHAPE;
  await writeFile(join(directory, 'chat.onnx'), encodeMlp());
  const heads = [{ name: 'embedding_mean', shape: [experts, hiddenSize], data: MEANS }];
  await writeSafetensors(join(directory, 'heads.safetensors'), heads);
  const capabilities = ['logic', 'tone', 'truth'].map((name, k) => ({
    name,
    score_mean: k,
    score_std: k + 1,
  }));
  return {
    revision,
    manifest: { name: 'spec' },
    taskNames: ['chat', 'qa'],
    task: (name: string) => ({
      heads: 'heads.safetensors',
      aggregator: name === 'chat' ? 'chat.onnx' : null,
      capabilities,
    }),
    file: (path: string) => join(directory, path),
  } as unknown as Bundle;
}

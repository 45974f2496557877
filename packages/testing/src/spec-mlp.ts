import { encodeOnnx } from '@dmoerm/onnx';
import { noise } from './noise';

/** Experts, width, hidden units and heads of the spec models: odd sizes, so that no kernel's block fits. */
export const MLP_SHAPE = { experts: 3, hiddenSize: 37, units: 29, heads: 3 } as const;

/** An MLP over the experts' embeddings, as the recipe writes it: embeddings [N, K * d] -> rewards [N, H]. */
export function encodeMlp({ experts, hiddenSize, units, heads } = MLP_SHAPE): Uint8Array {
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
export const MLP_MEANS = noise(MLP_SHAPE.experts * MLP_SHAPE.hiddenSize, 5);

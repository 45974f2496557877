import { encodeOnnx } from '@dmoerm/onnx';
import type { Aggregator } from './aggregator';

/** ONNX: embeddings [N, K*d] -> rewards [N, H]; the standardisation is folded into the first layer. */
export function encodeAggregator({ mean, std, heads, hidden }: Aggregator): Uint8Array {
  const inputs = mean.length;
  const width = hidden * heads.length;
  const w1 = new Float32Array(inputs * width);
  const b1 = new Float32Array(width);
  const slope = new Float32Array(width);
  const w2 = new Float32Array(width * heads.length);
  heads.forEach((head, m) => {
    for (let h = 0; h < hidden; h++) {
      const column = m * hidden + h;
      let bias = head.b1[h] ?? 0;
      for (let i = 0; i < inputs; i++) {
        const weight = (head.w1[h * inputs + i] ?? 0) / (std[i] ?? 1);
        w1[i * width + column] = weight;
        bias -= weight * (mean[i] ?? 0);
      }
      b1[column] = bias;
      slope[column] = head.slope;
      w2[column * heads.length + m] = head.w2[h] ?? 0;
    }
  });
  const float = (data: Float32Array<ArrayBuffer>, ...shape: number[]) => ({
    type: 'float32' as const,
    shape,
    data,
  });
  return encodeOnnx({
    inputs: [{ name: 'embeddings', type: 'float32', shape: ['N', inputs] }],
    outputs: [{ name: 'rewards', type: 'float32', shape: ['N', heads.length] }],
    constants: {
      w1: float(w1, inputs, width),
      b1: float(b1, width),
      slope: float(slope, width),
      w2: float(w2, width, heads.length),
    },
    nodes: [
      { operator: 'Gemm', inputs: ['embeddings', 'w1', 'b1'], outputs: ['hidden'] },
      { operator: 'PRelu', inputs: ['hidden', 'slope'], outputs: ['active'] },
      { operator: 'MatMul', inputs: ['active', 'w2'], outputs: ['rewards'] },
    ],
  });
}

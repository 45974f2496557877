// ONNX Runtime as a peer.
//
// Usage: ort.mjs FOLDER THREADS, then JSON lines:
//   {op: "load", model, shape, type}              loads a decoder of that shape, written when it is first asked for; type fp32 or int8
//   {op: "prefill", model, tokens, repeats}       one sequence of that many tokens -> {seconds: [...]}
// Weights and rows are made up, so only speed means anything. Rows begin as embeddings, outputs are those after the final norm.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import ort from 'onnxruntime-node';
import { serve, timed } from './json-lines.mjs';
import { madeUp, writeDecoder } from './ort-graph.mjs';

const [folder, threads] = [process.argv[2], Number(process.argv[3])];
/** name -> {session, width} */
const models = new Map();

function version() {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node');
  return JSON.parse(readFileSync(join(dirname(entry), '..', 'package.json'), 'utf8')).version;
}

await serve(version(), {
  async load({ model, shape, type }) {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `${model}.onnx`);
    // The model comes after its data: where it is, both are whole.
    if (!existsSync(file)) writeDecoder(file, shape, type);
    const session = await ort.InferenceSession.create(file, {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
    });
    models.set(model, { session, width: shape.hiddenSize });
    return {};
  },
  async prefill({ model, tokens, repeats }) {
    const { session, width } = models.get(model);
    const feeds = {
      x: new ort.Tensor('float32', madeUp([tokens, width], Float32Array, 1), [1, tokens, width]),
      last: new ort.Tensor('int32', Int32Array.of(tokens - 1), [1]),
      total: new ort.Tensor('int32', Int32Array.of(tokens), []),
    };
    const seconds = [];
    for (let i = 0; i < repeats; i++) seconds.push(await timed(() => session.run(feeds)));
    return { seconds };
  },
});

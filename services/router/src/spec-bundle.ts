import type { Bundle } from '@dmoerm/bundle';
import { encodeOnnx } from '@dmoerm/onnx';
import { hashedNgrams } from '@dmoerm/tokenizer';
import type { NgramSpec } from '@dmoerm/tokenizer';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Features of the spec router. */
export const FEATURES: NgramSpec = { buckets: 4096, word_ngrams: [1, 1], char_ngrams: [1, 0], head_words: 0 };

/** Tasks of the spec bundle; each has a word that its conversations hold. */
export const TASKS = [
  { name: 'chat', word: 'hello', capabilities: ['logic', 'tone'], learned: true },
  { name: 'qa', word: 'question', capabilities: ['truth', 'depth', 'style'], learned: true },
  { name: 'poem', word: 'verse', capabilities: ['rhyme'], learned: false },
] as const;

/** How much one word counts; the softmax of it is near 1. */
const WEIGHT = 6;

/** A linear classifier over hashed n-grams, as the recipe writes it: indices, values [n] -> probabilities [labels]. */
function encodeRouter(): Uint8Array {
  const labels = TASKS.length;
  const table = new Float32Array(FEATURES.buckets * labels);
  // What every text of one word has, its length, tells no task.
  const common = hashedNgrams('any', FEATURES).indices;
  TASKS.forEach(({ word }, label) => {
    for (const index of hashedNgrams(word, FEATURES).indices)
      if (!common.includes(index)) table[index * labels + label] = WEIGHT;
  });
  const axis = (value: number) => ({
    type: 'int64' as const,
    shape: [1],
    data: BigInt64Array.of(BigInt(value)),
  });
  return encodeOnnx({
    inputs: [
      { name: 'indices', type: 'int64', shape: ['n'] },
      { name: 'values', type: 'float32', shape: ['n'] },
    ],
    outputs: [{ name: 'probabilities', type: 'float32', shape: [labels] }],
    constants: {
      table: { type: 'float32', shape: [FEATURES.buckets, labels], data: table },
      columns: axis(1),
      rows: axis(0),
    },
    nodes: [
      { operator: 'Gather', inputs: ['table', 'indices'], outputs: ['picked'] },
      { operator: 'Unsqueeze', inputs: ['values', 'columns'], outputs: ['weights'] },
      { operator: 'Mul', inputs: ['picked', 'weights'], outputs: ['weighted'] },
      {
        operator: 'ReduceSum',
        inputs: ['weighted', 'rows'],
        outputs: ['logits'],
        attributes: { keepdims: 0 },
      },
      { operator: 'Softmax', inputs: ['logits'], outputs: ['probabilities'], attributes: { axis: 0 } },
    ],
  });
}

/** The parts of a bundle that the router reads. */
export async function writeSpecBundle(directory: string, revision: string): Promise<Bundle> {
  await writeFile(join(directory, 'router.onnx'), encodeRouter());
  return {
    revision,
    baseDigest: 'base',
    manifest: {
      name: 'spec',
      max_tokens: 512,
      template: { digest: 'template' },
      router: {
        model: 'router.onnx',
        features: FEATURES,
        labels: TASKS.map(({ name }) => name),
        fallback: { task: 'chat', threshold: 0.6 },
      },
      files: Object.fromEntries(
        TASKS.map(({ name }) => [`heads/${name}`, { sha256: `heads of ${name}`, bytes: 1 }]),
      ),
    },
    taskNames: TASKS.map(({ name }) => name),
    task: (wanted: string) => {
      const task = TASKS.find(({ name }) => name === wanted);
      if (task === undefined) throw new Error('no such task');
      return {
        plan: { type: 'readout' },
        heads: `heads/${task.name}`,
        aggregator: task.learned ? `aggregators/${task.name}` : null,
        capabilities: task.capabilities.map((name, k) => ({ name, score_mean: k, score_std: 2 })),
      };
    },
    file: (path: string) => join(directory, path),
  } as unknown as Bundle;
}

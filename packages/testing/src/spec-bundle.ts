import { createBundle, digestBase } from '@dmoerm/bundle';
import type { Bundle, BundleSpec, Manifest } from '@dmoerm/bundle';
import { encodeOnnx } from '@dmoerm/onnx';
import { hashedFeatures, openTokenizer } from '@dmoerm/tokenizer';
import { openBase, writeSafetensors } from '@dmoerm/weights';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { goldenAdapter, goldenBase } from './goldens';
import { noise } from './noise';

/** Features of the spec bundle's router. */
export const SPEC_FEATURES: Manifest['router']['features'] = {
  buckets: 4096,
  blocks: [{ kind: 'words', range: { from: 'all', words: 0 }, ngrams: [1, 1], weight: 1 }],
};
/** How much a task's word counts: the softmax of it is near 1. */
const WORD_WEIGHT = 6;
const AGGREGATOR_HEADS = 3;

/** A capability of the spec bundle: a golden adapter, or invocation tokens for the readout plan. */
interface Capability {
  readonly name: string;
  readonly adapter: string | null;
  readonly tokens: readonly number[];
}

/** The tasks of the spec bundle, one per sharing plan; conversations with the `word` are routed to it. */
export const SPEC_TASKS = [
  {
    name: 'chat',
    word: 'hello',
    plan: { type: 'full' },
    learned: true,
    capabilities: [
      { name: 'logic', adapter: 'qv', tokens: [] },
      { name: 'tone', adapter: 'all-linear', tokens: [] },
    ],
  },
  {
    name: 'qa',
    word: 'query',
    plan: { type: 'readout' },
    learned: true,
    capabilities: [
      { name: 'truth', adapter: null, tokens: [11, 12] },
      { name: 'depth', adapter: null, tokens: [13, 14, 15] },
      { name: 'style', adapter: null, tokens: [16] },
    ],
  },
  {
    name: 'poem',
    word: 'verse',
    plan: { type: 'top_layers', layers: 2 },
    learned: false,
    capabilities: [{ name: 'rhyme', adapter: 'top2', tokens: [] }],
  },
] as const satisfies readonly {
  readonly name: string;
  readonly word: string;
  readonly plan: object;
  readonly learned: boolean;
  readonly capabilities: readonly Capability[];
}[];

/**
 * Makes a real, verified bundle on the golden base `llama`, small enough for a test: every sharing plan, a router that
 * knows a word per task, aggregators of seeded noise. `seed` changes heads and aggregators, and with them the revision.
 */
export async function createSpecBundle(directory: string, cacheDir: string, seed = 1): Promise<Bundle> {
  const basePath = goldenBase('llama');
  const { hiddenSize } = (await openBase(basePath)).config;
  const { template } = await openTokenizer(basePath);
  const drafts = await mkdtemp(join(tmpdir(), 'dmoerm-spec-bundle-'));
  const sources: Record<string, string> = { base: basePath, 'router.onnx': join(drafts, 'router.onnx') };
  try {
    await writeFile(join(drafts, 'router.onnx'), encodeSpecRouter());
    const tasks: BundleSpec['manifest']['tasks'] = [];
    for (const { name, plan, learned, capabilities } of SPEC_TASKS) {
      const k = capabilities.length;
      const heads = `heads/${name}.safetensors`;
      sources[heads] = join(drafts, `${name}.safetensors`);
      await writeSafetensors(sources[heads], [
        { name: 'weight', shape: [k, hiddenSize], data: noise(k * hiddenSize, seed) },
        { name: 'bias', shape: [k], data: noise(k, seed + 1) },
        { name: 'embedding_mean', shape: [k, hiddenSize], data: noise(k * hiddenSize, seed + 2) },
      ]);
      const aggregator = learned ? `aggregators/${name}.onnx` : null;
      if (aggregator !== null) {
        sources[aggregator] = join(drafts, `${name}.onnx`);
        await writeFile(sources[aggregator], encodeAggregator(k * hiddenSize, seed + 3));
      }
      for (const { adapter } of capabilities)
        if (adapter !== null) sources[`adapters/${name}/${adapter}`] = goldenAdapter(adapter);
      tasks.push({
        name,
        display_name: name,
        definition: `Conversations with the word of ${name}.`,
        plan,
        task_adapter: null,
        heads,
        aggregator,
        calibration: { reward_mean: 0, reward_std: 1, temperature: 1 },
        capabilities: capabilities.map((capability) => ({
          name: capability.name,
          display_name: capability.name,
          definition: `How good the ${capability.name} is.`,
          adapter: capability.adapter === null ? null : `adapters/${name}/${capability.adapter}`,
          invocation_tokens: [...capability.tokens],
          score_mean: 0.1,
          score_std: 2,
        })),
      });
    }
    const manifest: BundleSpec['manifest'] = {
      schema_version: 1,
      name: 'spec',
      description: 'A bundle for tests.',
      base: {
        name: 'golden-llama',
        format: 'huggingface',
        ...(await digestBase(basePath)),
        file: null,
        embedded: true,
        licence: 'Apache-2.0',
        sources: [],
      },
      template: { digest: template.digest },
      max_tokens: 256,
      tasks,
      router: {
        model: 'router.onnx',
        features: SPEC_FEATURES,
        labels: SPEC_TASKS.map(({ name }) => name),
        fallback: { task: 'chat', threshold: 0.6 },
      },
      provenance: { created_by: 'tests' },
    };
    return await createBundle({ manifest, sources }, directory, { cacheDir });
  } finally {
    await rm(drafts, { recursive: true });
  }
}

/** The spec bundle's router, a linear classifier: indices, blocks, values [n] -> probabilities [labels]. */
export function encodeSpecRouter(): Uint8Array {
  const labels = SPEC_TASKS.length;
  const table = new Float32Array(SPEC_FEATURES.buckets * labels);
  SPEC_TASKS.forEach(({ word }, label) => {
    for (const index of hashedFeatures(word, SPEC_FEATURES).indices)
      table[index * labels + label] = WORD_WEIGHT;
  });
  const axis = (value: bigint) => ({ type: 'int64' as const, shape: [1], data: BigInt64Array.of(value) });
  return encodeOnnx({
    inputs: [
      { name: 'indices', type: 'int64', shape: ['n'] },
      { name: 'blocks', type: 'int64', shape: ['n'] },
      { name: 'values', type: 'float32', shape: ['n'] },
    ],
    outputs: [{ name: 'probabilities', type: 'float32', shape: [labels] }],
    constants: {
      table: { type: 'float32', shape: [SPEC_FEATURES.buckets, labels], data: table },
      columns: axis(1n),
      rows: axis(0n),
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

/** A linear aggregator with several heads: embeddings [N, width] -> rewards [N, H]. */
function encodeAggregator(width: number, seed: number): Uint8Array {
  return encodeOnnx({
    inputs: [{ name: 'embeddings', type: 'float32', shape: ['N', width] }],
    outputs: [{ name: 'rewards', type: 'float32', shape: ['N', AGGREGATOR_HEADS] }],
    constants: {
      weight: {
        type: 'float32',
        shape: [width, AGGREGATOR_HEADS],
        data: noise(width * AGGREGATOR_HEADS, seed),
      },
    },
    nodes: [{ operator: 'MatMul', inputs: ['embeddings', 'weight'], outputs: ['rewards'] }],
  });
}

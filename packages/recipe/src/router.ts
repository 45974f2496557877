import { encodeOnnx } from '@dmoerm/onnx';
import { hashedFeatures, type FeatureSpec } from '@dmoerm/tokenizer';
import { fitRidge } from './ridge';
import { concatRows } from './sparse-rows';

/** A prompt's routing text and its task. */
export interface RoutedText {
  readonly text: string;
  readonly label: string;
}

/** A linear classifier over hashed features, its scores made probabilities by a softmax. */
export interface RouterWeights {
  readonly spec: FeatureSpec;
  readonly labels: readonly string[];
  /** [buckets]: weight of a feature by how few training texts have it; 0 if fewer than two have it. */
  readonly idf: Float32Array<ArrayBuffer>;
  /** [buckets, labels] */
  readonly weights: Float32Array<ArrayBuffer>;
  /** [labels] */
  readonly bias: Float32Array<ArrayBuffer>;
}

/** How to train. */
export interface RouterOptions {
  readonly spec: FeatureSpec;
  /** Strengths of the L2 penalty; validation chooses. */
  readonly ridges: readonly number[];
}

/** A text as its features, weighted; each block has the length of the root of its share of all weights. */
interface Row {
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

/** Rare classes weigh more, but less than balanced: 0 would be as they come, 1 balanced. */
const BALANCE = 0.5;
/** A block whose features no training text had: nothing to scale. */
const SHORTEST = 1e-9;

/**
 * Fits the router by ridge regression on +1 and -1 per label (regularised least-squares classification); penalty and
 * softmax temperature are chosen on `valid`.
 */
export function trainRouter(
  train: readonly RoutedText[],
  valid: readonly RoutedText[],
  { spec, ridges }: RouterOptions,
): RouterWeights {
  const labels = [...new Set(train.map(({ label }) => label))].sort();
  const idf = inverseFrequencies(train, spec);
  const rows = concatRows(train.map(({ text }) => withoutUnknown(toRow(text, spec, idf))));
  const L = labels.length;
  const targets = new Float64Array(train.length * L).fill(-1);
  train.forEach(({ label }, i) => (targets[i * L + labels.indexOf(label)] = 1));
  const counts = new Map<string, number>();
  for (const { label } of train) counts.set(label, (counts.get(label) ?? 0) + 1);
  const rowWeights = Float64Array.from(
    train,
    ({ label }) => ((L * (counts.get(label) ?? 1)) / train.length) ** -BALANCE,
  );
  const tried = ridges.map((ridge) => {
    const fitted = fitRidge({ rows, columns: spec.buckets, targets, L, rowWeights, ridge });
    const router = {
      spec,
      labels,
      idf,
      weights: Float32Array.from(fitted.weights),
      bias: Float32Array.from(fitted.bias),
    };
    return { router, score: routerAccuracy(router, valid) };
  });
  const { router } = tried.reduce((best, one) => (one.score > best.score ? one : best));
  return withTemperature(router, valid);
}

function inverseFrequencies(texts: readonly RoutedText[], spec: FeatureSpec): Float32Array<ArrayBuffer> {
  const seen = new Float32Array(spec.buckets);
  for (const { text } of texts)
    for (const bucket of hashedFeatures(text, spec).indices) seen[bucket] = (seen[bucket] ?? 0) + 1;
  return seen.map((count) => (count < 2 ? 0 : Math.log((1 + texts.length) / (1 + count)) + 1));
}

function toRow(text: string, spec: FeatureSpec, idf: Float32Array): Row {
  const { indices, values, blocks } = hashedFeatures(text, spec);
  const weighted = values.map((value, e) => value * (idf[indices[e] ?? 0] ?? 0));
  const squares = new Float64Array(spec.blocks.length);
  weighted.forEach((value, e) => (squares[blocks[e] ?? 0] = (squares[blocks[e] ?? 0] ?? 0) + value * value));
  const scales = blockLengths(spec).map(
    (length, b) => length / Math.max(Math.sqrt(squares[b] ?? 0), SHORTEST),
  );
  return { indices, values: weighted.map((value, e) => value * (scales[blocks[e] ?? 0] ?? 0)) };
}

function withoutUnknown({ indices, values }: Row): Row {
  const known = (_: number, e: number): boolean => values[e] !== 0;
  return { indices: indices.filter(known), values: values.filter(known) };
}

function blockLengths({ blocks }: FeatureSpec): number[] {
  const sum = blocks.reduce((total, { weight }) => total + weight, 0);
  return blocks.map(({ weight }) => Math.sqrt(weight / sum));
}

/** Probabilities [labels] of a text. */
export function routeText({ spec, labels, idf, weights, bias }: RouterWeights, text: string): Float64Array {
  const row = toRow(text, spec, idf);
  const logits = Float64Array.from(bias);
  row.indices.forEach((bucket, e) => {
    for (let c = 0; c < labels.length; c++)
      logits[c] = (logits[c] ?? 0) + (weights[bucket * labels.length + c] ?? 0) * (row.values[e] ?? 0);
  });
  return softmax(logits);
}

function softmax(logits: Float64Array): Float64Array {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** The most probable label of a text. */
export function bestLabel(router: RouterWeights, text: string): string {
  const p = routeText(router, text);
  return router.labels[p.indexOf(Math.max(...p))] ?? '';
}

/** Share of texts whose most probable label is theirs. */
export function routerAccuracy(router: RouterWeights, texts: readonly RoutedText[]): number {
  return texts.filter(({ text, label }) => bestLabel(router, text) === label).length / texts.length;
}

/** Scales the logits so that the probabilities fit the validation labels best: confidence means what it says. */
function withTemperature(router: RouterWeights, valid: readonly RoutedText[]): RouterWeights {
  const scaled = (factor: number): RouterWeights => ({
    ...router,
    weights: router.weights.map((weight) => weight * factor),
    bias: router.bias.map((weight) => weight * factor),
  });
  const loss = (factor: number): number => {
    const candidate = scaled(factor);
    return valid.reduce(
      (sum, { text, label }) =>
        sum - Math.log(Math.max(routeText(candidate, text)[router.labels.indexOf(label)] ?? 0, 1e-12)),
      0,
    );
  };
  const factors = [0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8, 11, 16];
  return scaled(factors.reduce((best, one) => (loss(one) < loss(best) ? one : best)));
}

/** ONNX: indices, blocks int64 [n], values float32 [n] -> probabilities float32 [labels]. */
export function encodeRouter({ labels, idf, weights, bias, spec }: RouterWeights): Uint8Array {
  const float = (data: Float32Array<ArrayBuffer>, ...shape: number[]) => ({
    type: 'float32' as const,
    shape,
    data,
  });
  const axes = (...data: bigint[]) => ({
    type: 'int64' as const,
    shape: [data.length],
    data: BigInt64Array.from(data),
  });
  const B = spec.blocks.length;
  const identity = new Float32Array(B * B);
  for (let b = 0; b < B; b++) identity[b * B + b] = 1;
  return encodeOnnx({
    inputs: [
      { name: 'indices', type: 'int64', shape: ['n'] },
      { name: 'blocks', type: 'int64', shape: ['n'] },
      { name: 'values', type: 'float32', shape: ['n'] },
    ],
    outputs: [{ name: 'probabilities', type: 'float32', shape: [labels.length] }],
    constants: {
      idf: float(idf, spec.buckets),
      weights: float(weights, spec.buckets, labels.length),
      bias: float(bias, labels.length),
      identity: float(identity, B, B),
      block_lengths: float(Float32Array.from(blockLengths(spec)), 1, B),
      shortest: float(Float32Array.of(SHORTEST), 1),
      first: axes(0n),
    },
    nodes: [
      { operator: 'Gather', inputs: ['idf', 'indices'], outputs: ['rarity'] },
      { operator: 'Mul', inputs: ['values', 'rarity'], outputs: ['weighted'] },
      // Each block to its own length.
      { operator: 'Mul', inputs: ['weighted', 'weighted'], outputs: ['squares'] },
      { operator: 'Unsqueeze', inputs: ['squares', 'first'], outputs: ['square_row'] },
      { operator: 'Gather', inputs: ['identity', 'blocks'], outputs: ['membership'] },
      { operator: 'MatMul', inputs: ['square_row', 'membership'], outputs: ['block_squares'] },
      { operator: 'Sqrt', inputs: ['block_squares'], outputs: ['block_norms'] },
      { operator: 'Max', inputs: ['block_norms', 'shortest'], outputs: ['divisors'] },
      { operator: 'Div', inputs: ['block_lengths', 'divisors'], outputs: ['scale_row'] },
      { operator: 'Squeeze', inputs: ['scale_row', 'first'], outputs: ['scales'] },
      { operator: 'Gather', inputs: ['scales', 'blocks'], outputs: ['own_scales'] },
      { operator: 'Mul', inputs: ['weighted', 'own_scales'], outputs: ['scaled'] },
      // The linear model.
      { operator: 'Unsqueeze', inputs: ['scaled', 'first'], outputs: ['row'] },
      { operator: 'Gather', inputs: ['weights', 'indices'], outputs: ['rows'] },
      { operator: 'MatMul', inputs: ['row', 'rows'], outputs: ['sums'] },
      { operator: 'Squeeze', inputs: ['sums', 'first'], outputs: ['logits_without_bias'] },
      { operator: 'Add', inputs: ['logits_without_bias', 'bias'], outputs: ['logits'] },
      { operator: 'Softmax', inputs: ['logits'], outputs: ['probabilities'], attributes: { axis: -1 } },
    ],
  });
}

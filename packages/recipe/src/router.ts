import { encodeOnnx } from '@dmoerm/onnx';
import { hashedNgrams, type NgramSpec } from '@dmoerm/tokenizer';
import { minimise } from './lbfgs';

/** A prompt's routing text and its task. */
export interface RoutedText {
  readonly text: string;
  readonly label: string;
}

/** A multinomial logistic regression over hashed n-grams. */
export interface RouterWeights {
  readonly spec: NgramSpec;
  readonly labels: readonly string[];
  /** [buckets]: weight of an n-gram by how few training texts have it. */
  readonly idf: Float32Array<ArrayBuffer>;
  /** [buckets, labels] */
  readonly weights: Float32Array<ArrayBuffer>;
  /** [labels] */
  readonly bias: Float32Array<ArrayBuffer>;
}

/** How to train. */
export interface RouterOptions {
  readonly spec: NgramSpec;
  /** Strengths of the L2 penalty; validation chooses. */
  readonly ridges: readonly number[];
}

/** A text as its n-grams, weighted and of length 1. */
interface Row {
  readonly indices: Int32Array;
  readonly values: Float64Array;
  readonly label: number;
}

/** Fits the router on balanced classes; the penalty and the softmax's temperature are chosen on `valid`. */
export function trainRouter(
  train: readonly RoutedText[],
  valid: readonly RoutedText[],
  { spec, ridges }: RouterOptions,
): RouterWeights {
  const labels = [...new Set(train.map(({ label }) => label))].sort();
  const idf = inverseFrequencies(train, spec);
  const rows = train.map((one) => toRow(one, labels, spec, idf));
  const counts = labels.map((_, c) => rows.filter(({ label }) => label === c).length);
  const classWeights = counts.map((count) => rows.length / (labels.length * count));
  const tried = ridges.map((ridge) => {
    const router = unpack(fit(rows, spec.buckets, labels.length, classWeights, ridge), { spec, labels, idf });
    return { router, score: routerAccuracy(router, valid) };
  });
  const { router } = tried.reduce((best, one) => (one.score > best.score ? one : best));
  return withTemperature(router, valid);
}

function inverseFrequencies(texts: readonly RoutedText[], spec: NgramSpec): Float32Array<ArrayBuffer> {
  const seen = new Float32Array(spec.buckets);
  for (const { text } of texts)
    for (const bucket of hashedNgrams(text, spec).indices) seen[bucket] = (seen[bucket] ?? 0) + 1;
  return seen.map((count) => Math.log((1 + texts.length) / (1 + count)) + 1);
}

function toRow(
  { text, label }: RoutedText,
  labels: readonly string[],
  spec: NgramSpec,
  idf: Float32Array,
): Row {
  const { indices, values } = hashedNgrams(text, spec);
  const weighted = Float64Array.from(values, (value, i) => value * (idf[indices[i] ?? 0] ?? 0));
  const length = Math.sqrt(weighted.reduce((sum, value) => sum + value * value, 0));
  return { indices, values: weighted.map((value) => value / length), label: labels.indexOf(label) };
}

/** Weights [buckets + 1, labels], the biases last. */
function fit(
  rows: readonly Row[],
  buckets: number,
  labels: number,
  classWeights: readonly number[],
  ridge: number,
): Float64Array {
  const objective = (x: Float64Array, gradient: Float64Array): number => {
    let loss = 0;
    for (let i = 0; i < x.length; i++) {
      const penalised = i < buckets * labels;
      gradient[i] = penalised ? ridge * (x[i] ?? 0) : 0;
      if (penalised) loss += (ridge / 2) * (x[i] ?? 0) ** 2;
    }
    for (const row of rows) {
      const weight = classWeights[row.label] ?? 0;
      const p = probabilitiesOf(x, row, buckets, labels);
      loss -= weight * Math.log(Math.max(p[row.label] ?? 0, 1e-300));
      for (let c = 0; c < labels; c++) {
        const error = weight * ((p[c] ?? 0) - (c === row.label ? 1 : 0));
        row.indices.forEach(
          (bucket, i) =>
            (gradient[bucket * labels + c] =
              (gradient[bucket * labels + c] ?? 0) + error * (row.values[i] ?? 0)),
        );
        gradient[buckets * labels + c] = (gradient[buckets * labels + c] ?? 0) + error;
      }
    }
    return loss;
  };
  return minimise(objective, new Float64Array((buckets + 1) * labels), {
    maxIterations: 150,
    tolerance: 1e-3,
  });
}

function probabilitiesOf(x: Float64Array, row: Row, buckets: number, labels: number): Float64Array {
  const logits = x.slice(buckets * labels, (buckets + 1) * labels);
  for (let i = 0; i < row.indices.length; i++) {
    const at = (row.indices[i] ?? 0) * labels;
    for (let c = 0; c < labels; c++) logits[c] = (logits[c] ?? 0) + (x[at + c] ?? 0) * (row.values[i] ?? 0);
  }
  return softmax(logits);
}

function softmax(logits: Float64Array): Float64Array {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function unpack(x: Float64Array, rest: Pick<RouterWeights, 'spec' | 'labels' | 'idf'>): RouterWeights {
  const cut = rest.spec.buckets * rest.labels.length;
  return {
    ...rest,
    weights: Float32Array.from(x.subarray(0, cut)),
    bias: Float32Array.from(x.subarray(cut)),
  };
}

/** Probabilities [labels] of a text. */
export function routeText({ spec, labels, idf, weights, bias }: RouterWeights, text: string): Float64Array {
  const row = toRow({ text, label: '' }, labels, spec, idf);
  const logits = Float64Array.from(bias);
  row.indices.forEach((bucket, i) => {
    for (let c = 0; c < labels.length; c++)
      logits[c] = (logits[c] ?? 0) + (weights[bucket * labels.length + c] ?? 0) * (row.values[i] ?? 0);
  });
  return softmax(logits);
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
  const factors = [0.5, 0.7, 1, 1.4, 2, 2.8, 4];
  return scaled(factors.reduce((best, one) => (loss(one) < loss(best) ? one : best)));
}

/** ONNX: indices int64 [n], values float32 [n] -> probabilities float32 [labels]. */
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
  return encodeOnnx({
    inputs: [
      { name: 'indices', type: 'int64', shape: ['n'] },
      { name: 'values', type: 'float32', shape: ['n'] },
    ],
    outputs: [{ name: 'probabilities', type: 'float32', shape: [labels.length] }],
    constants: {
      idf: float(idf, spec.buckets),
      weights: float(weights, spec.buckets, labels.length),
      bias: float(bias, labels.length),
      first: axes(0n),
    },
    nodes: [
      { operator: 'Gather', inputs: ['idf', 'indices'], outputs: ['rarity'] },
      { operator: 'Mul', inputs: ['values', 'rarity'], outputs: ['weighted'] },
      { operator: 'ReduceL2', inputs: ['weighted'], outputs: ['length'], attributes: { keepdims: 0 } },
      { operator: 'Div', inputs: ['weighted', 'length'], outputs: ['unit'] },
      { operator: 'Unsqueeze', inputs: ['unit', 'first'], outputs: ['row'] },
      { operator: 'Gather', inputs: ['weights', 'indices'], outputs: ['rows'] },
      { operator: 'MatMul', inputs: ['row', 'rows'], outputs: ['sums'] },
      { operator: 'Squeeze', inputs: ['sums', 'first'], outputs: ['logits_without_bias'] },
      { operator: 'Add', inputs: ['logits_without_bias', 'bias'], outputs: ['logits'] },
      { operator: 'Softmax', inputs: ['logits'], outputs: ['probabilities'], attributes: { axis: -1 } },
    ],
  });
}

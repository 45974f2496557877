import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBundle, type Bundle, type BundleTask } from '@dmoerm/bundle';
import { invalidArgument } from '@dmoerm/core';
import { loadModel, type CandidateOutput, type Model } from '@dmoerm/model';
import { readSafetensors, readTensorF32, writeSafetensors, type TensorRef } from '@dmoerm/weights';
import { aggregate, trainAggregator, type Aggregator } from './aggregator/aggregator';
import { encodeAggregator } from './aggregator/encode';
import { fitTemperature } from '@dmoerm/evaluation';
import { hashFraction } from '@dmoerm/dataset';
import type { EmbeddedPair, ValueHead } from './head';
import type { PairRow } from './pairs-file';

/** As a recipe's `phase3` by default. */
const AGGREGATOR = { hidden: 16, heads: 4, epochs: 8, learningRate: 3e-4, weightDecay: 0.3 };
const VALID_SHARE = 0.15;
/** Fewer say nothing. */
const LEAST = { train: 32, valid: 8 };
/** Pairs per engine call. */
const STEP = 16;

/** How to fit. */
export interface RefitOptions {
  readonly cacheDir: string;
  readonly seed: number;
  /** 0: all cores. */
  readonly threads: number;
  readonly onProgress?: (pairs: number, totalPairs: number) => void;
}

/** What was fitted. */
export interface RefitReport {
  readonly bundle: Bundle;
  readonly train: number;
  readonly valid: number;
  /** Pairs that are too long for the bundle. */
  readonly skipped: number;
  /** Share of validation pairs in which the better response has the higher reward; the same pairs chose the epoch. */
  readonly validAccuracy: number;
}

/** A pair with what the experts say of both responses. */
interface JudgedPair extends EmbeddedPair {
  /** [K] each */
  readonly scores: readonly [Float32Array, Float32Array];
  readonly valid: boolean;
}

/**
 * Makes a new bundle in which a task's aggregator, the experts' score scales and the calibration are fitted to pairs; experts and heads
 * stay as they are.
 * @throws DmoermError INVALID_ARGUMENT, reason `TOO_FEW_PAIRS`; as `loadModel`, `createBundle`.
 */
export async function refitTask(
  bundle: Bundle,
  taskName: string,
  rows: readonly PairRow[],
  directory: string,
  options: RefitOptions,
): Promise<RefitReport> {
  const usable = rows.filter(({ split }) => split !== 'test');
  const pairs = await judge(bundle, taskName, usable, options);
  const train = pairs.filter(({ valid }) => !valid);
  const valid = pairs.filter((pair) => pair.valid);
  if (train.length < LEAST.train || valid.length < LEAST.valid)
    throw invalidArgument(
      'data',
      'TOO_FEW_PAIRS',
      `there are ${train.length} pairs of task ${taskName} to train on and ${valid.length} to validate; an aggregator needs ` +
        `${LEAST.train} and ${LEAST.valid}`,
    );
  const task = bundle.task(taskName);
  const heads = await readHeads(bundle.file(task.heads));
  const aggregator = trainAggregator(train, valid, heads, { ...AGGREGATOR, seed: options.seed });
  const fitted = fit(task, aggregator, valid);
  const drafts = await mkdtemp(join(tmpdir(), 'dmoerm-refit-'));
  try {
    const { files, ...manifest } = bundle.manifest;
    const onnx = `aggregators/${taskName}.onnx`;
    const sources = Object.fromEntries(Object.keys(files).map((path) => [path, bundle.file(path)]));
    sources[onnx] = join(drafts, 'aggregator.onnx');
    await writeFile(sources[onnx] ?? '', encodeAggregator(aggregator));
    sources[task.heads] = join(drafts, 'heads.safetensors');
    await writeMeans(bundle.file(task.heads), sources[task.heads] ?? '', meanOf(valid));
    const tasks = manifest.tasks.map((one) =>
      one.name === taskName ? { ...fitted, aggregator: onnx } : one,
    );
    const made = await createBundle({ manifest: { ...manifest, tasks }, sources }, directory, options);
    const right = valid.filter(({ chosen, rejected }) => margin(aggregator, chosen, rejected) > 0).length;
    return {
      bundle: made,
      train: train.length,
      valid: valid.length,
      skipped: usable.length - pairs.length,
      validAccuracy: right / valid.length,
    };
  } finally {
    await rm(drafts, { recursive: true });
  }
}

async function judge(
  bundle: Bundle,
  task: string,
  rows: readonly PairRow[],
  { threads, onProgress }: RefitOptions,
): Promise<JudgedPair[]> {
  await using model = await loadModel(bundle, { tasks: [task], weightType: 'f32', threads });
  const pairs: JudgedPair[] = [];
  for (let at = 0; at < rows.length; at += STEP) {
    const step = rows.slice(at, at + STEP);
    pairs.push(...(await judgeStep(model, task, step)));
    onProgress?.(at + step.length, rows.length);
  }
  return pairs;
}

async function judgeStep(model: Model, task: string, rows: readonly PairRow[]): Promise<JudgedPair[]> {
  const items = rows.map(({ messages, chosen, rejected }) =>
    model.prepare(task, {
      prompt: { type: 'conversation', messages },
      candidates: [chosen, rejected],
      truncation: 'reject',
    }),
  );
  const { items: outputs } = await model.evaluate(items);
  return rows.flatMap((row, i): JudgedPair[] => {
    const [chosen, rejected] = outputs[i] ?? [];
    if (!isOutput(chosen) || !isOutput(rejected)) return [];
    return [
      {
        chosen: chosen.embeddings,
        rejected: rejected.embeddings,
        scores: [chosen.scores, rejected.scores],
        valid: isValid(row),
      },
    ];
  });
}

function isOutput(
  output: CandidateOutput | undefined,
): output is Extract<CandidateOutput, { type: 'outputs' }> {
  return output?.type === 'outputs';
}

/** No conversation lies in both parts. */
function isValid({ split, messages }: PairRow): boolean {
  if (split !== undefined) return split === 'valid';
  return hashFraction(JSON.stringify(messages), 'refit') < VALID_SHARE;
}

function margin(aggregator: Aggregator, chosen: Float32Array, rejected: Float32Array): number {
  return aggregate(aggregator, chosen) - aggregate(aggregator, rejected);
}

/** Scales and calibration over the validation pairs. */
function fit(task: BundleTask, aggregator: Aggregator, valid: readonly JudgedPair[]): BundleTask {
  const rewards = moments(
    valid.flatMap(({ chosen, rejected }) => [aggregate(aggregator, chosen), aggregate(aggregator, rejected)]),
  );
  const temperature = fitTemperature(
    valid.map(({ chosen, rejected }) => margin(aggregator, chosen, rejected)),
  );
  return {
    ...task,
    capabilities: task.capabilities.map((capability, k) => {
      const { mean, std } = moments(valid.flatMap(({ scores }) => scores.map((own) => own[k] ?? NaN)));
      return { ...capability, score_mean: mean, score_std: std };
    }),
    calibration: { reward_mean: rewards.mean, reward_std: rewards.std, temperature },
  };
}

/** The experts' mean embeddings [K * d]. */
function meanOf(pairs: readonly EmbeddedPair[]): Float32Array {
  const sum = new Float64Array(pairs[0]?.chosen.length ?? 0);
  for (const { chosen, rejected } of pairs)
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (chosen[i] ?? 0) + (rejected[i] ?? 0);
  return Float32Array.from(sum, (value) => value / (2 * pairs.length));
}

/** The experts' heads of a task. */
async function readHeads(file: string): Promise<ValueHead[]> {
  const { tensors } = await readSafetensors(file);
  const read = (name: string): Promise<Float32Array> => readTensorF32(tensors.get(name) as TensorRef);
  const [weight, bias] = [await read('weight'), await read('bias')];
  const d = weight.length / bias.length;
  return Array.from(bias, (one, k) => ({ weight: weight.slice(k * d, (k + 1) * d), bias: one }));
}

/** The heads with other mean embeddings. */
async function writeMeans(old: string, file: string, mean: Float32Array): Promise<void> {
  const { tensors } = await readSafetensors(old);
  const written = await Promise.all(
    ['weight', 'bias', 'embedding_mean'].map(async (name) => {
      const ref = tensors.get(name) as TensorRef;
      return { name, shape: ref.shape, data: name === 'embedding_mean' ? mean : await readTensorF32(ref) };
    }),
  );
  await writeSafetensors(file, written);
}

function moments(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(variance) + 1e-6 };
}

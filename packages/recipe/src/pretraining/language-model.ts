import { performance } from 'node:perf_hooks';
import { join } from 'node:path';
import { createTrainer, type LearningBatch, type Trainer } from '@dmoerm/engine';
import type { BaseModel } from '@dmoerm/weights';
import { createRandom, shuffle } from '@dmoerm/core';
import { readCheckpoint, writeCheckpoint } from '../training/checkpoint';
import { learningRate } from '../training/schedule';
import { Pace, showProgress } from '../training/gauges';
import { MetricsFile } from '../training/metrics';
import type { Scratch } from '../training/recipe';

/** What to learn from, and where to keep what was learned. */
export interface LanguageModelOptions {
  readonly base: BaseModel;
  readonly config: Scratch['language_model'];
  readonly train: readonly Int32Array[];
  readonly valid: readonly Int32Array[];
  readonly seed: number;
  readonly threads: number;
  /** Holds `checkpoint.safetensors` and `metrics.jsonl`. */
  readonly folder: string;
  readonly checkpointSeconds: number;
  readonly onProgress?: (tokens: number, allTokens: number) => void;
}

/** Rows of a pass. */
const MAX_ROWS = 4096;
/** Moments that forget faster than the default: usual for language models. */
const BETAS = [0.9, 0.95] as const;

/**
 * Trains all parameters of a decoder to predict next tokens; resumes from its checkpoint with the same bits. Gives the trainer
 * with the last parameters, which the caller disposes of, and the validation loss in nats per token.
 */
export async function trainLanguageModel(
  options: LanguageModelOptions,
): Promise<{ readonly trainer: Trainer; readonly loss: number }> {
  const { base, config, train, seed, folder } = options;
  const trainer = await createTrainer(base, {
    plan: { type: 'full' },
    trainBase: true,
    threads: options.threads,
    experts: [{ adapter: [] }],
  });
  try {
    const file = join(folder, 'checkpoint.safetensors');
    const restored = (await readCheckpoint(file, trainer, 1))?.state ?? null;
    let step = restored?.learners[0]?.step ?? 0;
    const metrics = new MetricsFile(folder, restored?.metricsBytes ?? 0);
    const perStep = Math.max(1, Math.floor(config.tokens_per_step / config.sequence));
    const stepsPerEpoch = Math.ceil(train.length / perStep);
    const total = config.epochs * stepsPerEpoch;
    const epochTokens = train.reduce((sum, { length }) => sum + length, 0);
    const pace = new Pace(total);
    let saved = performance.now();
    let loss = NaN;
    const save = async (): Promise<void> => {
      const learners = [{ step, best: null, stale: 0, done: false }];
      await writeCheckpoint(file, trainer, [null], {
        epoch: 0,
        chunk: 0,
        learners,
        metricsBytes: metrics.bytes,
      });
      saved = performance.now();
    };
    while (step < total) {
      const epoch = Math.floor(step / stepsPerEpoch);
      const order = shuffle(train, createRandom(seed * 1000 + epoch));
      for (let at = step % stepsPerEpoch; at < stepsPerEpoch; at++) {
        const begin = performance.now();
        pace.begin(step);
        const sequences = order.slice(at * perStep, (at + 1) * perStep);
        const result = await learnStep(trainer, sequences, step);
        step++;
        const rate = learningRate({ ...SCHEDULE, learning_rate: config.learning_rate }, step, total);
        const norm = await trainer.update('base', {
          learningRate: rate,
          weightDecay: config.weight_decay,
          betas: BETAS,
          step,
        });
        metrics.add({
          type: 'step',
          unit: UNIT,
          step,
          epoch,
          loss: result.loss,
          gradient_norm: norm,
          learning_rate: rate,
          rows_per_second: Math.round(result.tokens / ((performance.now() - begin) / 1e3)),
          examples: sequences.length,
        });
        showProgress(UNIT, pace.at(step));
        options.onProgress?.(epochTokens * (step / stepsPerEpoch), epochTokens * config.epochs);
        if ((performance.now() - saved) / 1e3 >= options.checkpointSeconds) await save();
      }
      loss = await validate(trainer, options.valid);
      metrics.add({ type: 'valid', unit: UNIT, step, epoch, loss, accuracy: NaN });
      await save();
    }
    return { trainer, loss: Number.isNaN(loss) ? await validate(trainer, options.valid) : loss };
  } catch (error) {
    await trainer[Symbol.asyncDispose]();
    throw error;
  }
}

/** Its name among the units. */
const UNIT = 'language_model';
const SCHEDULE = { epochs: 1, prompts_per_step: 1, warmup: 0.03, weight_decay: 0, clip: 1, patience: 1 };

async function learnStep(
  trainer: Trainer,
  sequences: readonly Int32Array[],
  seed: number,
): Promise<{ loss: number; tokens: number }> {
  const targets = sequences.reduce((sum, { length }) => sum + length - 1, 0);
  let loss = 0;
  for (const part of parts(sequences)) {
    const [result] = await trainer.learn([toBatch(part, 1 / targets)], seed);
    loss += result?.tokenLoss ?? NaN;
  }
  return { loss, tokens: targets };
}

async function validate(trainer: Trainer, sequences: readonly Int32Array[]): Promise<number> {
  const targets = sequences.reduce((sum, { length }) => sum + length - 1, 0);
  let loss = 0;
  for (const part of parts(sequences)) {
    const [result] = await trainer.score([toBatch(part, 1 / targets)]);
    loss += result?.tokenLoss ?? NaN;
  }
  return loss;
}

function toBatch(sequences: readonly Int32Array[], weight: number): LearningBatch {
  const candidates = sequences.map((tokens) => ({ prompt: 0, tokens }));
  const tokenWeights = Float32Array.from(
    sequences.flatMap(({ length }) => Array.from({ length }, (_, t) => (t === 0 ? 0 : weight))),
  );
  return { expert: 0, prompts: [new Int32Array(0)], candidates, pairs: [], tokenWeights };
}

function* parts(sequences: readonly Int32Array[]): Generator<Int32Array[]> {
  let part: Int32Array[] = [];
  let rows = 0;
  for (const one of sequences) {
    if (rows + one.length > MAX_ROWS && part.length > 0) {
      yield part;
      [part, rows] = [[], 0];
    }
    part.push(one);
    rows += one.length;
  }
  if (part.length > 0) yield part;
}

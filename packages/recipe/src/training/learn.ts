import { performance } from 'node:perf_hooks';
import { join } from 'node:path';
import type { LearningBatch, Trainer } from '@dmoerm/engine';
import { won } from '../head';
import { cachedTrunk } from './batch';
import {
  putSnapshot,
  readCheckpoint,
  takeSnapshot,
  writeCheckpoint,
  type LearnerProgress,
  type Snapshot,
} from './checkpoint';
import { epochChunks, splitRows, type Chunk } from './chunks';
import type { EncodedGroup } from './encode';
import { DONE, Pace, showProgress, type Progress } from './gauges';
import { MetricsFile } from './metrics';
import type { Schedule } from './recipe';
import { learningRate } from './schedule';
import type { ValueCache } from './value-cache';

/** One expert that is trained: its number among the task's learners, and its name. */
export interface Learner {
  readonly index: number;
  readonly unit: string;
}

/** What to learn from, and how. */
export interface LearnOptions {
  /** Its experts are `learners`, in this order. */
  readonly trainer: Trainer;
  readonly learners: readonly Learner[];
  readonly train: readonly EncodedGroup[];
  readonly valid: readonly EncodedGroup[];
  readonly schedule: Schedule;
  readonly seed: number;
  /** Holds `checkpoint.safetensors` and `metrics.jsonl`. */
  readonly folder: string;
  /** Experts read the same trunk: those of a step learn in one pass. */
  readonly sharedTrunk: boolean;
  readonly trunk: ValueCache | null;
  /** The one learner is a head on a base that learns too. */
  readonly learnsBase?: boolean;
  /** Rows of a pass: bounds its memory. */
  readonly maxRows: number;
  /** Shortest time between checkpoints. */
  readonly checkpointSeconds: number;
  readonly onProgress?: (rows: number, allRows: number) => void;
}

/** What became of a learner; the trainer holds its best parameters. */
export interface Learned {
  readonly unit: string;
  readonly steps: number;
  readonly best: { readonly step: number; readonly accuracy: number; readonly loss: number };
}

/** Most steps between evaluations, and the share of an epoch that they are at least. */
const EVALUATION = { steps: 100, epochs: 0.25 };

/**
 * Trains experts with early stopping on validation accuracy (equal accuracy: lower loss). A killed run goes on from its last
 * checkpoint and ends with the same bits; an expert ends with the same bits whatever is learned beside it.
 */
export async function learn(options: LearnOptions): Promise<Learned[]> {
  return new Run(options).run();
}

class Run {
  private readonly progress: LearnerProgress[];
  private readonly best: (Snapshot | null)[];
  private readonly stepsPerEpoch: readonly number[];
  private readonly checkpointFile: string;
  private metrics: MetricsFile | null = null;
  private saved = performance.now();

  constructor(private readonly o: LearnOptions) {
    this.progress = o.learners.map(() => ({ step: 0, best: null, stale: 0, done: false }));
    this.best = o.learners.map(() => null);
    const chunks = epochChunks(o.train, o.schedule.prompts_per_step, 0);
    this.stepsPerEpoch = o.learners.map(
      ({ index }) => chunks.filter((chunk) => takesPart(chunk, index)).length,
    );
    this.checkpointFile = join(o.folder, 'checkpoint.safetensors');
  }

  async run(): Promise<Learned[]> {
    const { trainer, learners, schedule, train, seed } = this.o;
    const restored = await readCheckpoint(this.checkpointFile, trainer, learners.length);
    const start = restored?.state ?? { epoch: 0, chunk: 0, learners: this.progress, metricsBytes: 0 };
    restored?.state.learners.forEach((one, i) => (this.progress[i] = one));
    restored?.best.forEach((one, i) => (this.best[i] = one));
    this.metrics = new MetricsFile(this.o.folder, start.metricsBytes);
    // Where training began is a candidate too: an expert is never worse on validation than its probe.
    if (restored === null) for (const i of learners.keys()) await this.evaluate(i, 0, false);
    const epochRows = train.reduce((sum, { rows }) => sum + rows, 0);
    const pace = new Pace(schedule.epochs * epochRows);
    for (let epoch = start.epoch; epoch < schedule.epochs; epoch++) {
      const chunks = epochChunks(train, schedule.prompts_per_step, seed * 1000 + epoch);
      let rows = epoch * epochRows;
      for (const [c, chunk] of chunks.entries()) {
        const isNew = epoch > start.epoch || c >= start.chunk;
        if (isNew) {
          pace.begin(rows);
          await this.step(chunk, epoch, c);
        }
        rows += chunk.reduce((sum, group) => sum + group.rows, 0);
        this.o.onProgress?.(rows, schedule.epochs * epochRows);
        if (isNew) this.showProgress(pace.at(rows));
        if ((performance.now() - this.saved) / 1e3 >= this.o.checkpointSeconds) await this.save(epoch, c + 1);
      }
      for (const i of learners.keys()) await this.evaluate(i, epoch, true);
      await this.save(epoch + 1, 0);
      if (this.progress.every(({ done }) => done)) break;
    }
    return this.finish();
  }

  private async step(chunk: Chunk, epoch: number, chunkIndex: number): Promise<void> {
    const { learners, schedule, trainer } = this.o;
    const active = [...learners.keys()].filter(
      (i) => !this.progress[i]?.done && takesPart(chunk, learners[i]?.index ?? -1),
    );
    if (active.length === 0) return;
    const begin = performance.now();
    const losses = new Map(active.map((i) => [i, 0]));
    let rows = 0;
    const together = this.o.sharedTrunk ? [active] : active.map((i) => [i]);
    for (const experts of together)
      for (const [p, part] of splitRows(chunk, this.o.maxRows).entries()) {
        const batches = await this.batches(experts, part, chunk);
        const results = await trainer.learn(batches, seedOf(this.o.seed, epoch, chunkIndex, p));
        results.forEach(({ pairLoss }, b) => {
          const i = batches[b]?.expert ?? 0;
          losses.set(i, (losses.get(i) ?? 0) + pairLoss);
        });
        rows += part.reduce((sum, group) => sum + group.rows, 0);
      }
    for (const i of active) {
      const before = this.progress[i] as LearnerProgress;
      const { index = -1, unit = '' } = learners[i] ?? {};
      const step = before.step + 1;
      const rate = learningRate(schedule, step, schedule.epochs * (this.stepsPerEpoch[i] ?? 1));
      const headFactor =
        (schedule.head_learning_rate ?? 10 * schedule.learning_rate) / schedule.learning_rate;
      const norm = await trainer.update(i, {
        learningRate: rate,
        headLearningRate: rate * headFactor,
        weightDecay: schedule.weight_decay,
        clip: schedule.clip,
        step,
      });
      if (this.o.learnsBase === true)
        await trainer.update('base', {
          learningRate: rate,
          weightDecay: schedule.weight_decay,
          clip: schedule.clip,
          step,
        });
      this.progress[i] = { ...before, step };
      this.metrics?.add({
        type: 'step',
        unit,
        step,
        epoch,
        loss: losses.get(i) ?? NaN,
        gradient_norm: norm,
        learning_rate: rate,
        rows_per_second: Math.round(rows / ((performance.now() - begin) / 1e3)),
        examples: chunk.reduce((sum, { pairs }) => sum + (pairs.get(index)?.length ?? 0), 0),
      });
      const every = Math.max(EVALUATION.steps, Math.ceil(EVALUATION.epochs * (this.stepsPerEpoch[i] ?? 1)));
      if (step % every === 0) await this.evaluate(i, epoch, false);
    }
  }

  /** Experts that have stopped early are done, whatever the others still do. */
  private showProgress(progress: Progress): void {
    for (const [i, { unit }] of this.o.learners.entries())
      showProgress(unit, this.progress[i]?.done === true ? DONE : progress);
  }

  /** The pairs of some experts on some prompts of a chunk; a pair weighs so that the chunk's prompts weigh the same. */
  private async batches(experts: readonly number[], part: Chunk, chunk: Chunk): Promise<LearningBatch[]> {
    const batches: LearningBatch[] = [];
    for (const i of experts) {
      const learner = this.o.learners[i]?.index ?? -1;
      const prompts = chunk.filter(({ pairs }) => pairs.has(learner)).length;
      const own = part.filter(({ pairs }) => pairs.has(learner));
      if (own.length > 0) batches.push(await this.batch(i, own, learner, 1 / prompts));
    }
    return batches;
  }

  private async batch(
    expert: number,
    groups: readonly EncodedGroup[],
    learner: number,
    promptWeight: number,
  ): Promise<LearningBatch> {
    const prompts: Int32Array[] = [];
    const candidates: { prompt: number; tokens: Int32Array }[] = [];
    const pairs: { first: number; second: number; target: number; weight: number }[] = [];
    for (const group of groups) {
      const own = group.pairs.get(learner) ?? [];
      const used = new Set(own.flatMap(({ first, second }) => [first, second]));
      const at = new Map<number, number>();
      group.candidates.forEach(({ prompt, tokens }, c) => {
        // A cached trunk has the rows of all.
        if (this.o.trunk === null && !used.has(c)) return;
        at.set(c, candidates.push({ prompt: prompts.length + prompt, tokens }) - 1);
      });
      prompts.push(...group.prompts);
      for (const { first, second } of own)
        pairs.push({
          first: at.get(first) ?? -1,
          second: at.get(second) ?? -1,
          target: 1,
          weight: promptWeight / own.length,
        });
    }
    const batch = { expert, prompts, candidates, pairs };
    if (this.o.trunk === null) return batch;
    return { ...batch, trunk: await cachedTrunk(groups, this.o.trainer, this.o.trunk) };
  }

  /** Accuracy and loss on validation; keeps the parameters if they are the best. */
  private async evaluate(i: number, epoch: number, endOfEpoch: boolean): Promise<void> {
    const before = this.progress[i] as LearnerProgress;
    const every = Math.max(EVALUATION.steps, Math.ceil(EVALUATION.epochs * (this.stepsPerEpoch[i] ?? 1)));
    if (before.done || (endOfEpoch && before.step % every === 0)) return;
    const { learners, schedule, trainer } = this.o;
    const { unit = '', index = -1 } = learners[i] ?? {};
    const { accuracy, loss } = await this.validate(i, index);
    this.metrics?.add({ type: 'valid', unit, step: before.step, epoch, loss, accuracy });
    const { best } = before;
    const better =
      best === null || accuracy > best.accuracy || (accuracy === best.accuracy && loss < best.loss);
    if (better) this.best[i] = await takeSnapshot(trainer, i);
    const stale = better ? 0 : before.stale + 1;
    this.progress[i] = {
      step: before.step,
      best: better ? { step: before.step, accuracy, loss } : best,
      stale,
      done: stale >= schedule.patience,
    };
  }

  private async validate(i: number, learner: number): Promise<{ accuracy: number; loss: number }> {
    const own = this.o.valid.filter(({ pairs }) => pairs.has(learner));
    let correct = 0;
    let loss = 0;
    for (const part of splitRows(own, this.o.maxRows)) {
      const batch = await this.batch(i, part, learner, 1);
      const [result] = await this.o.trainer.score([batch]);
      loss += result?.pairLoss ?? NaN;
      for (const { first, second, weight } of batch.pairs)
        correct += weight * won((result?.scores[first] ?? NaN) - (result?.scores[second] ?? NaN));
    }
    return { accuracy: correct / own.length, loss: loss / own.length };
  }

  private async save(epoch: number, chunk: number): Promise<void> {
    const state = { epoch, chunk, learners: this.progress, metricsBytes: this.metrics?.bytes ?? 0 };
    await writeCheckpoint(this.checkpointFile, this.o.trainer, this.best, state);
    this.saved = performance.now();
  }

  private async finish(): Promise<Learned[]> {
    this.showProgress(DONE);
    const learned: Learned[] = [];
    for (const [i, { unit }] of this.o.learners.entries()) {
      const { step, best } = this.progress[i] as LearnerProgress;
      const snapshot = this.best[i];
      if (best === null || snapshot == null) throw new Error(`${unit} was never evaluated`);
      await putSnapshot(this.o.trainer, snapshot);
      learned.push({ unit, steps: step, best });
    }
    return learned;
  }
}

function takesPart(chunk: Chunk, learner: number): boolean {
  return chunk[0]?.pairs.has(learner) ?? false;
}

/** A seed of its own for every pass, below 2^53. */
function seedOf(seed: number, epoch: number, chunk: number, part: number): number {
  return ((seed % 1000) * 1000 + (epoch % 1000)) * 1e9 + (chunk % 1e6) * 1000 + (part % 1000);
}

import { join } from 'node:path';
import { digestBase, type Bundle } from '@dmoerm/bundle';
import { DmoermError, type Message, type Prompt, type Truncation } from '@dmoerm/core';
import { fingerprint, loadModel, type Model, type ModelOptions } from '@dmoerm/model';
import { createOnnxRunner } from '@dmoerm/onnx';
import {
  chooseTasks,
  createClassifier,
  loadAggregators,
  type Aggregators,
  type Classifier,
  type Decision,
} from '@dmoerm/reward';
import { packRequests, type Job } from './batches';
import { conversationKey } from './conversation';
import { toRewards } from './rewards';
import { ScoreCache, type Score } from './score-cache';

/** A prompt, what to score of it, and as which task. */
export interface ScoreRequest {
  readonly task: string;
  readonly messages: readonly Message[];
  readonly responses: readonly string[];
}

/** A score, or why there is none: a failure is never a number. */
export type ScoreOutcome =
  ({ readonly type: 'score' } & Score) | { readonly type: 'error'; readonly reason: string };

/** Called after every engine call; tokens in the engine. */
export type OnProgress = (tokens: number, totalTokens: number) => void;

/** A bundle that scores in this process, with the code that the mesh serves with. */
export interface BundleScorer extends AsyncDisposable {
  readonly bundle: Bundle;
  readonly model: Model;
  /** The router's decisions, top 1, one per prompt. */
  route(prompts: readonly Prompt[]): Promise<Decision[]>;
  /**
   * Scores what is neither in the cache nor scored before. What `onProgress` throws
   * ends the work; the cache keeps what was scored.
   */
  score(requests: readonly ScoreRequest[], onProgress?: OnProgress): Promise<void>;
  /** What `score` found. @throws DmoermError INTERNAL for what was never asked. */
  outcome(task: string, messages: readonly Message[], response: string): ScoreOutcome;
}

/** How to open a scorer. */
export interface ScorerOptions {
  /** Where the caches of all bundles lie. */
  readonly cache: string;
  readonly truncation: Truncation;
  readonly engine: ModelOptions;
}

/**
 * Loads a bundle for evaluation. Its cache is keyed by revision, base, weight type, kernels (their unit and the bits that they give)
 * and, within it, by task and conversation.
 * @throws DmoermError as `loadModel` and `loadAggregators`.
 */
export async function openScorer(bundle: Bundle, options: ScorerOptions): Promise<BundleScorer> {
  const model = await loadModel(bundle, options.engine);
  const runner = createOnnxRunner();
  const close = async (): Promise<void> => {
    await runner[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  };
  try {
    const parts = { bundle, model, truncation: options.truncation };
    const aggregators = await loadAggregators(bundle, runner);
    const { router } = bundle.manifest;
    const classifier = createClassifier(await runner.open(bundle.file(router.model)), router.features);
    const base = await digestBase(bundle.basePath);
    const { weightType, isa } = model.engine.info;
    const digests = [bundle.revision, base.digest, await fingerprint(model)].map((one) => one.slice(0, 16));
    const cache = new ScoreCache(join(options.cache, `${weightType}-${isa}-${digests.join('-')}`));
    return new LoadedScorer({ ...parts, aggregators, classifier, cache, close });
  } catch (error) {
    await close();
    throw error;
  }
}

interface Parts {
  readonly bundle: Bundle;
  readonly model: Model;
  readonly truncation: Truncation;
  readonly aggregators: Aggregators;
  readonly classifier: Classifier;
  readonly cache: ScoreCache;
  readonly close: () => Promise<void>;
}

class LoadedScorer implements BundleScorer {
  readonly bundle: Bundle;
  readonly model: Model;
  /** Found again in every run: cheap, and nothing that a cache should keep. */
  private readonly errors = new Map<string, DmoermError>();

  constructor(private readonly parts: Parts) {
    this.bundle = parts.bundle;
    this.model = parts.model;
  }

  async route(prompts: readonly Prompt[]): Promise<Decision[]> {
    const { labels, fallback } = this.bundle.manifest.router;
    const probabilities = await this.parts.classifier.classify(prompts);
    return probabilities.map((own) => chooseTasks(labels, own, { type: 'top_1' }, fallback));
  }

  async score(requests: readonly ScoreRequest[], onProgress?: OnProgress): Promise<void> {
    const { model, truncation, cache } = this.parts;
    const known = (key: string): boolean => cache.get(key) !== undefined || this.errors.has(key);
    const work = packRequests(requests, { model, truncation, keyOf: this.keyOf, known });
    for (const { keys, error } of work.refused) for (const key of keys) this.errors.set(key, error);
    let tokens = 0;
    for (const batch of work.batches) {
      await this.run(batch);
      tokens += batch.reduce((sum, { item }) => sum + item.engineTokens, 0);
      onProgress?.(tokens, work.totalTokens);
    }
  }

  outcome(task: string, messages: readonly Message[], response: string): ScoreOutcome {
    const key = this.keyOf(task, messages, response);
    const score = this.parts.cache.get(key);
    if (score !== undefined) return { type: 'score', ...score };
    const error = this.errors.get(key);
    if (error !== undefined) return { type: 'error', reason: error.reason };
    const message = 'a response was not scored before its score was asked for';
    throw new DmoermError({ code: 'INTERNAL', reason: 'NOT_SCORED', message });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.parts.cache.close();
    await this.parts.close();
  }

  private readonly keyOf = (task: string, messages: readonly Message[], response: string): string =>
    conversationKey(task, this.parts.truncation, messages, response);

  private async run(jobs: readonly Job[]): Promise<void> {
    const { model, aggregators, cache } = this.parts;
    const { items } = await model.evaluate(jobs.map(({ item }) => item));
    const scored: [string, Score][] = [];
    for (const [i, { keys, item }] of jobs.entries()) {
      const rewards = await toRewards(aggregators.task(item.task), items[i] ?? []);
      rewards.forEach((outcome, n) => {
        const key = keys[n] ?? '';
        if (outcome.type === 'score') scored.push([key, outcome.score]);
        else this.errors.set(key, outcome.error);
      });
    }
    cache.add(scored);
  }
}

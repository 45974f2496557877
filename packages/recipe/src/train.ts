import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createBundle, type BaseReference, type Manifest } from '@dmoerm/bundle';
import { routingText } from '@dmoerm/core';
import { openTokenizer } from '@dmoerm/tokenizer';
import { mayShip, readDataset, type Dataset } from '@dmoerm/dataset';
import {
  evaluateMargins,
  formatMarginsEvaluations,
  softplus,
  type MarginsEvaluation,
} from '@dmoerm/evaluation';
import { collectExamples, type TaskExamples } from './examples';
import { extractEmbeddings, type TaskEmbeddings } from './extract';
import { chooseHead, fitPairHead, fitRatingHead, headScore, type EmbeddedPair, type ValueHead } from './head';
import { embed, finishTask } from './finish-task';
import { makeUpPrompts } from './made-up-prompts';
import { encodeRouter, routerAccuracy, trainRouter, type RoutedText } from './router';
import { writeNotice } from './notice';
import { ROUTER_FEATURES } from './router-features';
import { PROBE_TASKS } from './taxonomy';

/** How to train a probe bundle. */
export interface TrainProbeOptions {
  readonly dataDir: string;
  readonly outDir: string;
  readonly embeddingsDir: string;
  readonly cacheDir: string;
  readonly base: BaseReference;
  readonly basePath: string;
  /** Most training prompts per source. */
  readonly limit: number;
  readonly threads: number;
  readonly seed: number;
  readonly onProgress?: (label: string, tokens: number, totalTokens: number) => void;
}

const MAX_TOKENS = 2048;
const MAX_TRAINING_TOKENS = 640;
const AGGREGATOR = { hidden: 16, heads: 4, epochs: 8, learningRate: 3e-4, weightDecay: 0.3 };

/** Fits heads, aggregators and router on a frozen base, makes the bundle, and measures it on the test split. */
export async function trainProbe(
  options: TrainProbeOptions,
): Promise<{ readonly revision: string; readonly table: string }> {
  const data = await readDataset(options.dataDir);
  const examples = collectExamples(data, PROBE_TASKS, { research: false, limit: options.limit });
  const embeddings = await extractEmbeddings(examples, {
    basePath: options.basePath,
    baseDigest: options.base.digest,
    cacheDir: options.embeddingsDir,
    threads: options.threads,
    maxTokens: MAX_TRAINING_TOKENS,
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
  const draft = join(options.embeddingsDir, 'draft');
  for (const folder of ['heads', 'aggregators', 'router'])
    await mkdir(join(draft, folder), { recursive: true });
  const sources: Record<string, string> = {};
  const put = (path: string): string => (sources[path] = join(draft, path));
  const evaluations: MarginsEvaluation[] = [];
  const tasks: Manifest['tasks'] = [];
  for (const one of examples) {
    const own = embeddings.get(one.task.name);
    if (own !== undefined) tasks.push(await trainTask(one, own, options.seed, put, evaluations));
  }
  const routed = trainShippedRouter(data, options.seed);
  await writeFile(put('router/router.onnx'), encodeRouter(routed.router));
  await writeFile(put('NOTICE.md'), writeNotice(data));
  const { template } = await openTokenizer(options.basePath);
  const manifest: Omit<Manifest, 'files'> = {
    schema_version: 1,
    name: 'default',
    description: 'Linear probes on a frozen SmolLM2-135M-Instruct, read out per capability',
    base: options.base,
    template: { digest: template.digest },
    max_tokens: MAX_TOKENS,
    tasks,
    router: {
      model: 'router/router.onnx',
      features: { ...ROUTER_FEATURES, blocks: [...ROUTER_FEATURES.blocks] },
      labels: [...routed.router.labels],
      fallback: { task: 'chat', threshold: 0.3 },
    },
    provenance: {
      created_by: 'dmoerm train --method probe',
      limit: options.limit,
      seed: options.seed,
      data: data.digests,
      licences: licences(data),
    },
  };
  const bundle = await createBundle({ manifest, sources }, options.outDir, { cacheDir: options.cacheDir });
  const table = `${formatMarginsEvaluations(evaluations)}\nrouter, permitted validation prompts: ${routed.valid.toFixed(3)}`;
  await writeFile(
    join(options.embeddingsDir, 'report.json'),
    JSON.stringify({ revision: bundle.revision, evaluations, router: routed.valid }, null, 1),
  );
  return { revision: bundle.revision, table };
}

function licences(data: Dataset): string[] {
  return [
    ...new Set(
      [...data.preferences, ...data.capabilityPairs, ...data.ratings]
        .filter(mayShip)
        .map(({ licence }) => licence),
    ),
  ].sort();
}

async function trainTask(
  { task, capabilityPairs, capabilityRatings, overall }: TaskExamples,
  { cache, invocationTokens }: TaskEmbeddings,
  seed: number,
  put: (path: string) => string,
  evaluations: MarginsEvaluation[],
): Promise<Manifest['tasks'][number]> {
  const K = task.capabilities.length;
  const d = cache.width / K;
  const slice = (u: Float32Array, k: number): Float32Array => u.subarray(k * d, (k + 1) * d);
  const heads = task.capabilities.map(({ name }, k): ValueHead => {
    const pairs = embed(cache, capabilityPairs.get(name) ?? []).map(({ row, pair }) => ({
      row,
      pair: { chosen: slice(pair.chosen, k), rejected: slice(pair.rejected, k) },
    }));
    if (pairs.length > 0) {
      const own = (split: string): EmbeddedPair[] =>
        pairs.filter(({ row }) => row.split === split).map(({ pair }) => pair);
      const { head } = chooseHead(
        (ridge) => fitPairHead(own('train'), ridge),
        (one) =>
          own('valid').reduce(
            (sum, { chosen, rejected }) => sum + softplus(headScore(one, rejected) - headScore(one, chosen)),
            0,
          ),
      );
      const test = pairs.filter(({ row }) => row.split === 'test');
      evaluations.push(
        evaluateMargins(
          `${task.name}/${name}`,
          test.map(({ row }) => row),
          test.map(({ pair }) => headScore(head, pair.chosen) - headScore(head, pair.rejected)),
        ),
      );
      return head;
    }
    const rated = (capabilityRatings.get(name) ?? []).flatMap(({ row, rating }) => {
      const embedding = cache.get(row.messages, row.response);
      return embedding === null ? [] : [{ split: row.split, embedding: slice(embedding, k), rating }];
    });
    return chooseHead(
      (ridge) =>
        fitRatingHead(
          rated.filter(({ split }) => split === 'train'),
          ridge,
        ),
      (one) =>
        rated
          .filter(({ split }) => split === 'valid')
          .reduce((sum, { embedding, rating }) => {
            const score = headScore(one, embedding);
            return sum + softplus(score) - rating * score;
          }, 0),
    ).head;
  });
  const experts = task.capabilities.map(({ name, displayName, definition }, k) => ({
    name,
    displayName,
    definition,
    adapter: null,
    invocationTokens: invocationTokens[k] ?? [],
    head: heads[k] as ValueHead,
  }));
  return finishTask(
    { task, plan: { type: 'readout' }, taskAdapter: null, experts, overall, cache },
    { ...AGGREGATOR, seed },
    put,
    evaluations,
  );
}

/** Prompts whose source says their task and whose licence permits it, and made-up ones. */
function trainShippedRouter(
  data: Dataset,
  seed: number,
): { router: ReturnType<typeof trainRouter>; valid: number } {
  const tasks = PROBE_TASKS.map(({ name }) => name);
  const rows = [...data.preferences, ...data.ratings].filter(
    (row) => mayShip(row) && tasks.includes(row.task) && row.source !== 'mrbench_v2',
  );
  const texts = (split: string): RoutedText[] => {
    const seen = new Map<string, RoutedText>();
    for (const row of rows)
      if (row.split === split) {
        const text = routingText({ type: 'conversation', messages: row.messages });
        seen.set(text, { text, label: row.task });
      }
    return [...seen.values()].slice(0, 1500);
  };
  const valid = [...texts('valid'), ...makeUpPrompts(tasks, 40, seed + 1)];
  const router = trainRouter([...texts('train'), ...makeUpPrompts(tasks, 250, seed)], valid, {
    spec: ROUTER_FEATURES,
    ridges: [0.1, 0.3, 1],
  });
  return { router, valid: routerAccuracy(router, valid) };
}

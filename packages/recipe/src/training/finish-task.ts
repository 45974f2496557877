import { writeFile } from 'node:fs/promises';
import type { Manifest } from '@dmoerm/bundle';
import { writeSafetensors } from '@dmoerm/weights';
import { aggregate, trainAggregator, type AggregatorOptions } from '../aggregator/aggregator';
import { encodeAggregator } from '../aggregator/encode';
import { evaluateMargins, fitTemperature, type MarginsEvaluation } from '@dmoerm/evaluation';
import { headScore, type EmbeddedPair, type ValueHead } from '../head';
import type { JudgedPair } from './embed';

/** A task whose experts are there. */
export interface FinishedExperts {
  readonly task: { readonly name: string; readonly displayName: string; readonly definition: string };
  readonly plan: Manifest['tasks'][number]['plan'];
  /** Folder of the task's own adapter in the bundle, or null. */
  readonly taskAdapter: string | null;
  readonly experts: readonly {
    readonly name: string;
    readonly displayName: string;
    readonly definition: string;
    /** Folder in the bundle, or null. */
    readonly adapter: string | null;
    readonly invocationTokens: readonly number[];
    readonly head: ValueHead;
  }[];
  /** Overall preferences: train for the aggregator, valid for its choice and calibration, test for the measure. */
  readonly overall: readonly JudgedPair[];
}

/**
 * Phase 3: the aggregator on the experts' embeddings, its calibration, and the task's part of the manifest; the reward's
 * accuracy on test pairs, by source, goes to `evaluations`.
 * @param put Registers a file of the bundle and says where to write it.
 */
export async function finishTask(
  { task, plan, taskAdapter, experts, overall }: FinishedExperts,
  options: AggregatorOptions,
  put: (path: string) => string,
  evaluations: MarginsEvaluation[],
): Promise<Manifest['tasks'][number]> {
  const K = experts.length;
  const part = (split: string): EmbeddedPair[] =>
    overall.filter(({ row }) => row.split === split).map(({ pair }) => pair);
  const train = part('train');
  const valid = part('valid');
  const d = (train[0]?.chosen.length ?? 0) / K;
  const slice = (u: Float32Array, k: number): Float32Array => u.subarray(k * d, (k + 1) * d);
  const aggregator = trainAggregator(
    train,
    valid,
    experts.map(({ head }) => head),
    options,
  );
  const test = overall.filter(({ row }) => row.split === 'test');
  for (const source of [...new Set(test.map(({ row }) => row.source))]) {
    const rows = test.filter(({ row }) => row.source === source);
    evaluations.push(
      evaluateMargins(
        `${task.name} reward, ${source}`,
        rows.map(({ row }) => row),
        rows.map(({ pair }) => aggregate(aggregator, pair.chosen) - aggregate(aggregator, pair.rejected)),
      ),
    );
  }
  const responses = valid.flatMap(({ chosen, rejected }) => [chosen, rejected]);
  const mean = new Float32Array(K * d);
  for (const u of responses)
    for (let i = 0; i < mean.length; i++) mean[i] = (mean[i] ?? 0) + (u[i] ?? 0) / responses.length;
  const flat = new Float32Array(K * d);
  experts.forEach(({ head }, k) => flat.set(head.weight, k * d));
  await writeSafetensors(put(`heads/${task.name}.safetensors`), [
    { name: 'weight', shape: [K, d], data: flat },
    { name: 'bias', shape: [K], data: Float32Array.from(experts, ({ head }) => head.bias) },
    { name: 'embedding_mean', shape: [K, d], data: mean },
  ]);
  await writeFile(put(`aggregators/${task.name}.onnx`), encodeAggregator(aggregator));
  const margins = valid.map(
    ({ chosen, rejected }) => aggregate(aggregator, chosen) - aggregate(aggregator, rejected),
  );
  const rewards = moments(responses.map((u) => aggregate(aggregator, u)));
  return {
    name: task.name,
    display_name: task.displayName,
    definition: task.definition,
    plan,
    task_adapter: taskAdapter,
    heads: `heads/${task.name}.safetensors`,
    aggregator: `aggregators/${task.name}.onnx`,
    capabilities: experts.map(({ name, displayName, definition, adapter, invocationTokens, head }, k) => {
      const scores = moments(responses.map((u) => headScore(head, slice(u, k))));
      return {
        name,
        display_name: displayName,
        definition,
        adapter,
        invocation_tokens: [...invocationTokens],
        score_mean: scores.mean,
        score_std: scores.std,
      };
    }),
    calibration: { reward_mean: rewards.mean, reward_std: rewards.std, temperature: fitTemperature(margins) },
  };
}

function moments(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return {
    mean,
    std: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) + 1e-6,
  };
}

import { DmoermError } from '@dmoerm/core';
import { commonV1 } from '@dmoerm/protos';
import type { expertV1 } from '@dmoerm/protos';
import { fromStatus } from '@dmoerm/rpc';
import { fromTensor } from '@dmoerm/serving';
import { metrics } from '@dmoerm/telemetry';
import type { RouterModel, TaskModel } from './router-model';

/** What the K experts of a task say of one candidate. */
export interface ExpertOutputs {
  /** float32 [K, d], little-endian, as it came: only the aggregator reads it. */
  readonly embeddings: Buffer;
  /** [K], finite */
  readonly scores: Float32Array;
  readonly tokenCount: number;
  readonly truncated: boolean;
}

/** Its outputs, or why it has none. */
export type CandidateOutputs =
  | { readonly type: 'outputs'; readonly outputs: ExpertOutputs }
  | { readonly type: 'error'; readonly error: DmoermError };

/**
 * The candidates' outputs from an expert's answer: by item, by candidate, as asked. A candidate with a score that is not
 * finite gets an error, the others stay.
 * @throws DmoermError FAILED_PRECONDITION, reason `REVISION_MISMATCH`, if other weights answered; INTERNAL, reason
 *   `BAD_EXPERT_ANSWER`, if the answer does not fit the question.
 */
export function readAnswer(
  answer: expertV1.EvaluateResponse,
  asked: readonly expertV1.EvaluateItem[],
  model: RouterModel,
  task: TaskModel,
): CandidateOutputs[][] {
  checkRevision(answer.digests, model, task);
  if (answer.capabilities.join() !== task.capabilities.join()) throw badAnswer('its capabilities are others');
  if (answer.results.length !== asked.length) throw badAnswer('its number of items is another');
  return answer.results.map(({ candidates }, i) => {
    if (candidates.length !== asked[i]?.candidates.length)
      throw badAnswer('its number of candidates is another');
    return candidates.map(({ outcome }, c) => {
      if (outcome === undefined) throw badAnswer('a candidate has no outcome');
      if (outcome.$case === 'error') return { type: 'error', error: fromStatus(outcome.value) };
      const outputs = readOutputs(outcome.value, task.capabilities.length);
      if (outputs.scores.every(Number.isFinite)) return { type: 'outputs', outputs };
      metrics.nonfinite.inc({ task: task.name, stage: 'router' });
      return { type: 'error', error: nonFinite(`candidates[${c}]`) };
    });
  });
}

/** The error of a candidate with a number that is NaN or infinite. */
export function nonFinite(field: string): DmoermError {
  return new DmoermError({
    code: 'INTERNAL',
    reason: 'NON_FINITE',
    field,
    message: 'the model gave NaN or infinity for this candidate; it has no reward',
  });
}

function readOutputs(outputs: expertV1.ExpertOutputs, k: number): ExpertOutputs {
  const { embeddings, scores, tokenCount, truncated } = outputs;
  const d = Number(embeddings?.shape[1] ?? 0);
  const float32 = embeddings?.dataType === commonV1.DataType.FLOAT32;
  if (embeddings === undefined || !float32 || d === 0 || embeddings.data.length !== k * d * 4)
    throw badAnswer('its embeddings are not float32 [K, d]');
  try {
    return { embeddings: embeddings.data, scores: fromTensor(scores, [k], 'scores'), tokenCount, truncated };
  } catch {
    throw badAnswer('its scores are not float32 [K]');
  }
}

function checkRevision(digests: commonV1.Digests | undefined, model: RouterModel, task: TaskModel): void {
  const { base, heads, template } = digests ?? {};
  if (base === model.baseDigest && heads === task.headsDigest && template === model.templateDigest) return;
  throw new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'REVISION_MISMATCH',
    message:
      'the expert answered with other weights than the revision has; its bundle is not the one it says',
  });
}

function badAnswer(fault: string): DmoermError {
  return new DmoermError({
    code: 'INTERNAL',
    reason: 'BAD_EXPERT_ANSWER',
    message: `the expert's answer does not fit the question: ${fault}`,
  });
}

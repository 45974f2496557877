import { invalidArgument } from '@dmoerm/core';
import type { Message, Prompt, Role, Truncation } from '@dmoerm/core';
import type { CandidateOutput, Model } from '@dmoerm/model';
import { commonV1, expertV1 } from '@dmoerm/protos';
import { bindService, toStatus } from '@dmoerm/rpc';
import type { ServiceBinding } from '@dmoerm/rpc';
import { toTensor } from '@dmoerm/serving';
import type { Revisions } from '@dmoerm/serving';
import { metrics } from '@dmoerm/telemetry';
import type { Answer, Expert, ExpertItem } from './expert';
import type { Priority } from './queue/flow';

/** `dmoerm.expert.v1.ExpertService`: messages to domain and back; for the other services only. */
export function bindExpertService(expert: Expert, revisions: Revisions<Model>): ServiceBinding {
  return bindService(
    expertV1.ExpertServiceService,
    {
      evaluate: async ({ task, revision, items, client }, context) => {
        using lease = revisions.pin(revision);
        const model = lease.value;
        const { signal, deadline } = context;
        const answer = await expert.evaluate(model, task, items.map(toItem), { client, signal, deadline });
        return toResponse(task, model, answer);
      },
    },
    ['service'],
  );
}

function toItem(item: expertV1.EvaluateItem, i: number): ExpertItem {
  const { prompt, candidates, truncation, priority } = item;
  return {
    prompt: toPrompt(prompt, `items[${i}]`),
    candidates,
    truncation: toTruncation(truncation, `items[${i}]`),
    priority: toPriority(priority, `items[${i}]`),
  };
}

function toPrompt(prompt: expertV1.EvaluateItem['prompt'], at: string): Prompt {
  switch (prompt?.$case) {
    case 'conversation':
      return { type: 'conversation', messages: prompt.value.messages.map(toMessage) };
    case 'text':
      return { type: 'text', text: prompt.value };
    default:
      throw invalidArgument(`${at}.prompt`, 'NO_PROMPT', 'the item has no prompt; set conversation or text');
  }
}

/** An unknown role is left to `validatePrompt`, which names the turn. */
function toMessage({ role, content }: commonV1.Message): Message {
  const { SYSTEM, USER, ASSISTANT } = commonV1.Role;
  const names = new Map<number, Role>([
    [SYSTEM, 'system'],
    [USER, 'user'],
    [ASSISTANT, 'assistant'],
  ]);
  return { role: names.get(role) ?? ('' as Role), content };
}

function toTruncation(truncation: commonV1.Truncation, at: string): Truncation {
  const { UNSPECIFIED, REJECT, KEEP_END } = commonV1.Truncation;
  if (truncation === UNSPECIFIED || truncation === REJECT) return 'reject';
  if (truncation === KEEP_END) return 'keep_end';
  throw invalidArgument(
    `${at}.truncation`,
    'UNKNOWN_ENUM_VALUE',
    'unknown truncation; use REJECT or KEEP_END',
  );
}

function toPriority(priority: commonV1.Priority, at: string): Priority {
  const { UNSPECIFIED, NORMAL, BACKGROUND } = commonV1.Priority;
  if (priority === UNSPECIFIED || priority === NORMAL) return 'normal';
  if (priority === BACKGROUND) return 'background';
  throw invalidArgument(`${at}.priority`, 'UNKNOWN_ENUM_VALUE', 'unknown priority; use NORMAL or BACKGROUND');
}

function toResponse(
  task: string,
  model: Model,
  { items, queueNs, engineNs }: Answer,
): expertV1.EvaluateResponse {
  const { base, adapters, heads, template } = model.digests(task);
  const capabilities = [...model.capabilities(task)];
  const shape = [capabilities.length, model.engine.info.hiddenSize];
  return {
    results: items.map((candidates) => ({
      candidates: candidates.map((output) => toCandidate(task, shape, output)),
    })),
    capabilities,
    digests: { base, adapters: [...adapters], heads, template },
    queueNs: BigInt(Math.round(queueNs)),
    engineNs: BigInt(Math.round(engineNs)),
  };
}

function toCandidate(
  task: string,
  shape: readonly number[],
  output: CandidateOutput,
): expertV1.CandidateEvaluation {
  if (output.type === 'error') {
    const { reason } = output.error;
    if (reason === 'NON_FINITE') metrics.nonfinite.inc({ task, stage: 'expert' });
    return { outcome: { $case: 'error', value: toStatus(output.error) } };
  }
  const { embeddings, scores, tokenCount, truncated } = output;
  const value = {
    embeddings: toTensor(embeddings, shape),
    scores: toTensor(scores, shape.slice(0, 1)),
    tokenCount,
    truncated,
  };
  return { outcome: { $case: 'outputs', value } };
}

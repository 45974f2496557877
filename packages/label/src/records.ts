import { decide } from './decide';
import { toReply, type Journal, type JournalReply } from './journal';
import type { Judged } from './judged';
import type { Plan, Question } from './plan';
import { TEMPLATE_VERSION } from './prompt';

/** A `pair` record, as training reads it. */
export interface PairRecord {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly chosen: string;
  readonly rejected: string;
  /** True: both orders gave a tie; which response is called chosen then means nothing. */
  readonly tie: boolean;
  readonly task: string;
  readonly capability: string;
  readonly prompt_id: string;
  readonly split: string;
  readonly source: string;
  readonly licence: string;
  /** `llm:` and the model that labelled. */
  readonly labeler: string;
}

/** The labels of judged comparisons, kept ones and ties, as `pair` records in the order of the input. */
export function toPairRecords(judged: readonly Judged[], model: string): PairRecord[] {
  return judged.flatMap(({ comparison, label }) => {
    if (label.type !== 'kept' && label.type !== 'tie') return [];
    const { messages, responses, task, capability, promptId, split, source, licence } = comparison;
    const second = label.type === 'kept' && label.winner === 'second';
    return [
      {
        messages,
        chosen: responses[second ? 1 : 0],
        rejected: responses[second ? 0 : 1],
        tie: label.type === 'tie',
        task,
        capability: capability.name,
        prompt_id: promptId,
        split,
        source,
        licence,
        labeler: `llm:${model}`,
      },
    ];
  });
}

/**
 * A record of every answer, lost try and stop, for people who want to know why a label is what it is. It holds raw replies, and
 * never the key: the client takes it out of whatever an endpoint says.
 */
export function toAuditRecords(
  plan: Plan,
  judged: readonly Judged[],
  journal: Pick<Journal, 'replies' | 'entries'>,
): object[] {
  const questions = new Map(plan.questions.map((question) => [question.key, question]));
  const labels = new Map(judged.map(({ comparison, label }) => [comparison.key, label]));
  return journal.entries().flatMap((entry): object[] => {
    const question = questions.get(entry.key);
    // An answer to a question of another plan (an earlier model, say) is no part of this one.
    if (question === undefined) return [];
    const about = describe(question);
    if (entry.type !== 'reply') return [{ ...entry, ...about }];
    return [{ ...auditReply(entry, journal), ...about, label: labels.get(question.comparison.key) }];
  });
}

function describe({ comparison, order, repetition }: Question): object {
  return {
    comparison: comparison.key,
    task: comparison.task,
    capability: comparison.capability.name,
    prompt_id: comparison.promptId,
    order,
    repetition,
    template_version: TEMPLATE_VERSION,
  };
}

function auditReply(
  { content, refusal, ...entry }: JournalReply,
  journal: Pick<Journal, 'replies'>,
): Record<string, unknown> {
  const decision = decide(journal.replies(entry.key).map(toReply));
  return {
    ...entry,
    reply: content,
    refusal,
    verdict: decision.type === 'verdict' ? decision.verdict : null,
    drop_reason: decision.type === 'dropped' ? decision.reason : null,
  };
}

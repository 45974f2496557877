import { canonicalJson, sha256 } from '@dmoerm/bundle';
import type { Comparison } from './comparison';
import { TEMPLATE_VERSION, type Order } from './prompt';
import { verdictSchema } from './verdict';

/** How an endpoint is asked; all of it is part of every journal key. */
export interface AskOptions {
  readonly model: string;
  /** Whether the endpoint is held to the JSON schema of a verdict (`response_format`). */
  readonly structured: boolean;
  /** Whether reasons are asked for before the verdict. */
  readonly rationale: boolean;
  /** Most completion tokens of a reply. */
  readonly maxTokens: number;
  /** What the endpoint calls that limit. */
  readonly maxTokensField: 'max_tokens' | 'max_completion_tokens';
  /** Further members of the request's body; they win over ours, and null takes one away. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** One question: a comparison with its responses in one order. */
export interface Question {
  /** SHA-256 of the canonical JSON of all that the answer may depend on, except the nonce. */
  readonly key: string;
  readonly comparison: Comparison;
  readonly order: Order;
  /** 1 for a question put a second time in the same order, to measure how often the labeller contradicts itself. */
  readonly repetition: 0 | 1;
}

/** The questions of one comparison. */
export interface PlannedComparison {
  readonly comparison: Comparison;
  readonly forward: Question;
  readonly swapped: Question;
  readonly repeated: Question | null;
}

/** All that a run has to ask. */
export interface Plan {
  readonly ask: AskOptions;
  readonly comparisons: readonly PlannedComparison[];
  /** Each question once. */
  readonly questions: readonly Question[];
}

/** How much is asked again: a share of the comparisons in [0, 1], chosen by their keys. */
export interface PlanOptions {
  readonly repeatShare: number;
}

/** Plans both orders of every comparison, and the repetitions. */
export function createPlan(
  comparisons: readonly Comparison[],
  ask: AskOptions,
  { repeatShare }: PlanOptions,
): Plan {
  const planned = comparisons.map((comparison): PlannedComparison => {
    const question = (order: Order, repetition: 0 | 1): Question => ({
      key: questionKey(comparison, ask, order, repetition),
      comparison,
      order,
      repetition,
    });
    const again = Number.parseInt(comparison.key.slice(0, 8), 16) / 2 ** 32 < repeatShare;
    return {
      comparison,
      forward: question('forward', 0),
      swapped: question('swapped', 0),
      repeated: again ? question('forward', 1) : null,
    };
  });
  const questions = new Map<string, Question>();
  for (const { forward, swapped, repeated } of planned)
    for (const question of [forward, swapped, repeated])
      if (question !== null) questions.set(question.key, question);
  return { ask, comparisons: planned, questions: [...questions.values()] };
}

/** The members of a request's body besides `messages`. */
export function requestParameters(ask: AskOptions, maxTokens = ask.maxTokens): Record<string, unknown> {
  const { model, structured, rationale, maxTokensField, extra } = ask;
  const format = {
    type: 'json_schema',
    json_schema: { name: 'verdict', strict: true, schema: verdictSchema(rationale) },
  };
  const body = {
    model,
    temperature: 0,
    [maxTokensField]: maxTokens,
    ...(structured ? { response_format: format } : {}),
    ...extra,
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

function questionKey(comparison: Comparison, ask: AskOptions, order: Order, repetition: 0 | 1): string {
  const { capability, messages, responses } = comparison;
  return sha256(
    canonicalJson({
      template: TEMPLATE_VERSION,
      rationale: ask.rationale,
      parameters: requestParameters(ask),
      capability: { name: capability.name, definition: capability.definition },
      messages,
      responses,
      order,
      repetition,
    }),
  );
}

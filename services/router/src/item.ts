import { invalidArgument, validatePrompt } from '@dmoerm/core';
import type { Message, Prompt, Role } from '@dmoerm/core';
import { aggregatorV1, commonV1, rewardV1 } from '@dmoerm/protos';
import type { Routing } from '@dmoerm/reward';

/** A checked item. */
export interface Item {
  readonly prompt: Prompt;
  /** The request as the caller sent it; what the experts need of it travels on unchanged. */
  readonly request: rewardV1.ScoreRequest;
  readonly routing: Routing;
  readonly rule: aggregatorV1.AggregationRule;
  /** Weight of the variance, for the uncertainty-weighted rule. */
  readonly lambda: number;
  readonly truncation: commonV1.Truncation;
  readonly priority: commonV1.Priority;
  /** The pinned revision, or empty. */
  readonly revision: string;
  /** Capabilities to answer with; empty: all. */
  readonly capabilities: readonly string[];
}

const DEFAULT_LAMBDA = 0.5;

/**
 * Checks one item. What is wrong with a single candidate is found by the expert, which counts its tokens.
 * @throws DmoermError INVALID_ARGUMENT with the field, relative to the item.
 */
export function parseItem(request: rewardV1.ScoreRequest, maxCandidates: number): Item {
  const prompt = parsePrompt(request.prompt);
  const { length } = request.candidates;
  if (length === 0)
    throw invalidArgument(
      'candidates',
      'NO_CANDIDATES',
      'there are no candidates; send at least one response to score',
    );
  if (length > maxCandidates)
    throw invalidArgument(
      'candidates',
      'TOO_MANY_CANDIDATES',
      `at most ${maxCandidates} candidates per item, not ${length}`,
    );
  const options = request.options ?? rewardV1.ScoreOptions.fromPartial({});
  const lambda = options.lambda ?? DEFAULT_LAMBDA;
  if (!Number.isFinite(lambda) || lambda < 0)
    throw invalidArgument('options.lambda', 'BAD_LAMBDA', 'lambda must be a number of at least 0');
  return {
    prompt,
    request,
    routing: parseRouting(options),
    rule: parseRule(options.aggregation),
    lambda,
    truncation: parseTruncation(options.truncation),
    priority: parsePriority(options.priority),
    revision: options.revision,
    capabilities: options.capabilities,
  };
}

/** The prompt of a request. @throws DmoermError INVALID_ARGUMENT. */
export function parsePrompt(prompt: rewardV1.ScoreRequest['prompt']): Prompt {
  if (prompt === undefined)
    throw invalidArgument('prompt', 'NO_PROMPT', 'there is no prompt; set conversation or text');
  const parsed: Prompt =
    prompt.$case === 'text'
      ? { type: 'text', text: prompt.value }
      : { type: 'conversation', messages: prompt.value.messages.map(parseMessage) };
  validatePrompt(parsed);
  return parsed;
}

const ROLES = new Map<number, Role>([
  [commonV1.Role.SYSTEM, 'system'],
  [commonV1.Role.USER, 'user'],
  [commonV1.Role.ASSISTANT, 'assistant'],
]);

/** An unknown role becomes one that `validatePrompt` refuses, which names the turn. */
function parseMessage({ role, content }: commonV1.Message): Message {
  return { role: ROLES.get(role) ?? ('' as Role), content };
}

function parseRouting({ routing, task }: rewardV1.ScoreOptions): Routing {
  const { UNSPECIFIED, TOP_1, SOFT, FORCED } = rewardV1.Routing;
  if (routing === FORCED) {
    if (task === '')
      throw invalidArgument('options.task', 'NO_TASK', 'forced routing needs the name of a task');
    return { type: 'forced', task };
  }
  if (task !== '')
    throw invalidArgument(
      'options.task',
      'TASK_NOT_FORCED',
      'a task is named but routing is not FORCED; set it, or name none',
    );
  if (routing === UNSPECIFIED || routing === TOP_1) return { type: 'top_1' };
  if (routing === SOFT) return { type: 'soft' };
  throw unknownEnumValue('options.routing');
}

function parseRule(aggregation: rewardV1.Aggregation): aggregatorV1.AggregationRule {
  const { Aggregation } = rewardV1;
  const { AggregationRule } = aggregatorV1;
  switch (aggregation) {
    case Aggregation.UNSPECIFIED:
    case Aggregation.LEARNED:
      return AggregationRule.LEARNED;
    case Aggregation.MEAN:
      return AggregationRule.MEAN;
    case Aggregation.WORST_CASE:
      return AggregationRule.WORST_CASE;
    case Aggregation.UNCERTAINTY_WEIGHTED:
      return AggregationRule.UNCERTAINTY_WEIGHTED;
    default:
      throw unknownEnumValue('options.aggregation');
  }
}

function parseTruncation(truncation: commonV1.Truncation): commonV1.Truncation {
  if (truncation in commonV1.Truncation) return truncation;
  throw unknownEnumValue('options.truncation');
}

function parsePriority(priority: commonV1.Priority): commonV1.Priority {
  if (priority in commonV1.Priority) return priority;
  throw unknownEnumValue('options.priority');
}

function unknownEnumValue(field: string): Error {
  return invalidArgument(
    field,
    'UNKNOWN_ENUM_VALUE',
    'the value does not exist; see the proto of this field',
  );
}

import type { ItemResult, ModelInfo } from '@dmoerm/client';
import { DmoermError } from '@dmoerm/core';
import { ok, toJson } from './answer';
import type { Answer } from './answer';
import type { Handler } from './app';
import type { AnyDialect, Dialect, Rewarded } from './dialect';
import { toItemFailure } from './failure';
import type { HttpCall } from './http-call';
import { INFER } from './infer';
import { OPENRLHF } from './openrlhf';
import { parseItems, toScoreAnswer } from './score-body';
import type { ScoreBody } from './score-body';
import { toOptions } from './score-options';
import type { OptionFields } from './score-options';
import type { Scorer } from './scorer';
import { SLIME, SLIME_MULTI } from './slime';

const DIALECTS: readonly AnyDialect[] = [OPENRLHF, SLIME, SLIME_MULTI, INFER];

/** What answers the operations that need the router, by `operationId`. */
export function createHandlers(scorer: Scorer): ReadonlyMap<string, Handler> {
  return new Map<string, Handler>([
    ['score', ({ body }, call) => answerScore(scorer, body, call)],
    ['getModel', async () => ok(toJson(toModel(await scorer.model())))],
    ...DIALECTS.map((dialect): [string, Handler] => [
      dialect.operationId,
      (request, call) => answerTrainer(scorer, dialect, request, call),
    ]),
  ]);
}

async function answerScore(scorer: Scorer, body: ScoreBody, call: HttpCall): Promise<Answer> {
  return ok(toJson(toScoreAnswer(body, await scorer.scoreAll(parseItems(body), call))));
}

async function answerTrainer<Body>(
  scorer: Scorer,
  dialect: Dialect<Body>,
  { query, body }: { readonly query: OptionFields; readonly body: Body },
  call: HttpCall,
): Promise<Answer> {
  const items = dialect.items(body, toOptions(query));
  const outcomes = (await scorer.scoreAll(items, call)).map(toRewarded);
  const failed = outcomes.findIndex((one) => one instanceof DmoermError);
  try {
    if (failed >= 0) throw located(outcomes[failed] as DmoermError, dialect.field(body, failed));
    const rewards = outcomes as readonly Rewarded[];
    const revisions = [...new Set(rewards.map(({ revision }) => revision))];
    const [revision] = revisions;
    const model = revision === undefined ? null : await scorer.modelOf(revision);
    const named = revision === undefined ? {} : { 'dmoerm-revision': revisions.join(', ') };
    return ok(dialect.answer(rewards, model, body), named);
  } catch (cause) {
    if (call.signal.aborted) throw cause;
    const error = DmoermError.from(cause);
    call.code = error.code;
    return toItemFailure(error, call.requestId);
  }
}

/** The one candidate of an item, or why it has no reward. */
function toRewarded(result: ItemResult): Rewarded | DmoermError {
  if (result.type === 'error') return result.error;
  const [first] = result.candidates;
  if (first?.type === 'error') return first.error;
  if (first === undefined || result.route === null)
    return new DmoermError({ code: 'INTERNAL', reason: 'BAD_ANSWER', message: 'an item has no score' });
  return { score: first, task: result.route.task, revision: result.revision };
}

/** Fields of options, as the router names them. */
const OPTION = /^(?:options\.)?(task|routing|aggregation|lambda|truncation|revision|priority)$/;

/** Options are parameters of the query; everything else is the item's. */
function located(error: DmoermError, field: string): DmoermError {
  const [, option] = OPTION.exec(error.field ?? '') ?? [];
  return error.at(option ?? field);
}

function toModel({ name, revision, base, tasks, limits }: ModelInfo): object {
  const { maxItems, maxCandidates, maxTokens, maxMessageBytes } = limits;
  return {
    name,
    revision,
    base,
    tasks: tasks.map((task) => ({ name: task.name, capabilities: task.capabilities, plan: task.plan })),
    limits: {
      max_items: maxItems,
      max_candidates: maxCandidates,
      max_tokens: maxTokens,
      max_message_bytes: maxMessageBytes,
    },
  };
}

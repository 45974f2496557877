import { toRecord } from '@dmoerm/client';
import type { ItemResult, ScoreItem } from '@dmoerm/client';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import type { Message } from '@dmoerm/core';
import { isTransient } from './failure';
import { toOptions } from './score-options';
import type { OptionFields } from './score-options';

/** Body of `POST /v1/score`, checked against the document. */
export interface ScoreBody {
  readonly items: readonly ItemBody[];
}

interface ItemBody extends OptionFields {
  readonly id?: string;
  readonly messages?: readonly Message[];
  readonly text?: string;
  readonly candidates: readonly string[];
}

/** The items of a body; what is wrong with one is its own error. */
export function parseItems({ items }: ScoreBody): (ScoreItem | DmoermError)[] {
  return items.map((body) => {
    try {
      return parseItem(body);
    } catch (error) {
      return DmoermError.from(error);
    }
  });
}

function parseItem({ messages, text, candidates, ...fields }: ItemBody): ScoreItem {
  const options = toOptions(fields);
  if (messages !== undefined && text !== undefined)
    throw invalidArgument('text', 'CONFLICTING_PROMPT', 'give messages or text, not both');
  if (messages !== undefined) return { prompt: { type: 'conversation', messages }, candidates, options };
  if (text !== undefined) return { prompt: { type: 'text', text }, candidates, options };
  throw invalidArgument('messages', 'NO_PROMPT', 'the item has no prompt; give messages or text');
}

/**
 * The answer, in the order of the items.
 * @throws DmoermError if no item has an answer and the cause is none of theirs: the mesh is away, late or overloaded, or does not know
 *   this gateway.
 */
export function toScoreAnswer({ items }: ScoreBody, results: readonly ItemResult[]): object {
  const errors = results.flatMap((result) => (result.type === 'error' ? [result.error] : []));
  const [first] = errors;
  if (first !== undefined && errors.length === results.length && errors.every(isWholeCall)) throw first;
  return {
    results: results.map((result, i) =>
      toRecord(items[i]?.id ?? null, result.type === 'error' ? located(result, i) : result),
    ),
  };
}

function isWholeCall(error: DmoermError): boolean {
  return isTransient(error) || error.reason === 'ROUTER_REFUSES';
}

/** Options stand in the item itself here. */
function located(result: ItemResult & { readonly type: 'error' }, i: number): ItemResult {
  const field = result.error.field?.replace(/^options\./, '') ?? null;
  return { type: 'error', error: result.error.at(field).under(`items[${i}]`) };
}

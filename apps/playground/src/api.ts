import createFetch from 'openapi-fetch';
import type { Item } from './draft';
import type { components, paths } from './gen/api';

type Schemas = components['schemas'];
/** Scores of one item. */
export type Result = Schemas['Result'];
/** Outcome of one candidate. */
export type Candidate = Result['candidates'][number];
/** A reward and what explains it. */
export type Score = Schemas['Score'];
/** The model that serves. */
export type Model = Schemas['Model'];
/** Why there is no answer: of the whole call, an item or a candidate. */
export type ApiError = Schemas['Error'];

const { GET, POST } = createFetch<paths>();

/** An answer, or why there is none. */
export type Reply<T> =
  { readonly type: 'answer'; readonly value: T } | { readonly type: 'error'; readonly error: ApiError };

/** Scores one item. A call that `signal` ends rejects. */
export async function score(item: Item, token: string, signal: AbortSignal): Promise<Reply<Result>> {
  return reply(signal, async () => {
    const { data, error } = await POST('/v1/score', {
      body: { items: [item] },
      ...authorised(token),
      signal,
    });
    if (data === undefined) return refused(error);
    const [result] = data.results;
    if (result === undefined) throw new Error('no result');
    return 'error' in result ? { type: 'error', error: result.error } : { type: 'answer', value: result };
  });
}

/** Describes the model. A call that `signal` ends rejects. */
export async function getModel(token: string, signal: AbortSignal): Promise<Reply<Model>> {
  return reply(signal, async () => {
    const { data, error } = await GET('/v1/model', { ...authorised(token), signal });
    return data === undefined ? refused(error) : { type: 'answer', value: data };
  });
}

function authorised(token: string): { headers: Record<string, string> } {
  return { headers: token === '' ? {} : { authorization: `Bearer ${token}` } };
}

/** @throws Error if it is none of the API's errors, but text of something in between. */
function refused(failure: Schemas['Failure'] | string): { type: 'error'; error: ApiError } {
  if (typeof failure === 'string') throw new Error('not an answer of the API');
  return { type: 'error', error: failure.error };
}

/** What answers nothing, or something that is not of this API (a proxy's page), is an error like all others. */
async function reply<T>(signal: AbortSignal, call: () => Promise<Reply<T>>): Promise<Reply<T>> {
  try {
    return await call();
  } catch (cause) {
    if (signal.aborted) throw cause;
    const message = 'The gateway does not answer. Does it still run? Try again when it does.';
    return { type: 'error', error: { code: 'UNAVAILABLE', reason: 'NO_ANSWER', message, field: null } };
  }
}

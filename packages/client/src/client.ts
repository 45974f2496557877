import { DmoermError } from '@dmoerm/core';
import type { Prompt } from '@dmoerm/core';
import type { rewardV1 } from '@dmoerm/protos';
import { chunkRequests } from './chunk';
import { badAnswer, fromResponse, fromRoute } from './from-response';
import { ItemStream } from './item-stream';
import type { StreamItem, StreamResult } from './item-stream';
import { patientBatch } from './patient-batch';
import { withPatience } from './patience';
import { connectRouter } from './router-connection';
import type { CallOptions, ConnectionSecurity } from './router-connection';
import { toPrompt, toRequest } from './to-request';
import type { ItemResult, ModelInfo, Route, ScoreItem, ScoredItem } from './types';

/** Where the router is. */
export interface ClientOptions extends ConnectionSecurity {
  /** `host:port` or `dns:///host:port`. */
  readonly address: string;
  /** Longest time of one call, waits for a full queue included, milliseconds. Default 10 minutes. */
  readonly timeoutMs?: number;
  /** Whether to wait and call again while the router's queue is full or it restarts. Default true; a load generator must not. */
  readonly patient?: boolean;
}

/** A client of a dmoerm mesh. All failures are DmoermErrors. */
export interface Client {
  /** Scores the candidates of one conversation. @throws DmoermError what is wrong with the item as a whole. */
  score(item: ScoreItem, options?: CallOptions): Promise<ScoredItem>;
  /**
   * Scores any number of items, in calls within the server's limits. One result per item, in their order; the failure of
   * a call is the error of its items. Fields of errors begin in the item, e.g. `candidates[1]`.
   * @throws DmoermError only if the server cannot be asked for its limits.
   */
  batchScore(items: readonly ScoreItem[], options?: CallOptions): Promise<ItemResult[]>;
  /**
   * Scores items as they come, over one stream; results come in any order. A stream that breaks is resumed: items with an
   * answer are not asked again, and each item is answered once. Items are taken only as fast as the router takes them.
   * @throws DmoermError if the router stays away; what `items` throws.
   */
  streamScore(
    items: AsyncIterable<StreamItem> | Iterable<StreamItem>,
    options?: CallOptions,
  ): AsyncGenerator<StreamResult, void, void>;
  /** Classifies a conversation without scoring it. */
  route(prompt: Prompt, options?: CallOptions): Promise<Route & { readonly revision: string }>;
  /** Describes the model that serves. */
  getModel(options?: CallOptions): Promise<ModelInfo>;
  /** Resolves when the router can be reached. @throws DmoermError UNAVAILABLE at `deadline`, epoch milliseconds. */
  waitForReady(deadline: number): Promise<void>;
  close(): void;
}

const DEFAULT_TIMEOUT_MS = 600_000;
/** Calls of one batch under way at once: enough to keep a mesh busy while answers travel. */
const CALLS_AT_ONCE = 4;

/**
 * Connects to a router; the connection is made by the first call.
 * @throws DmoermError INVALID_ARGUMENT, reason BAD_CERTIFICATE or TOKEN_IN_CLEAR.
 */
export function createClient({
  address,
  timeoutMs = DEFAULT_TIMEOUT_MS,
  patient = true,
  ...security
}: ClientOptions): Client {
  const persist: typeof withPatience = patient ? withPatience : (again) => again();
  const router = connectRouter({ address, timeoutMs, ...security });
  const { call, getModel, waitForReady, close } = router;

  const scoreChunk = (items: rewardV1.ScoreRequest[], { signal }: CallOptions): Promise<ItemResult[]> => {
    const deadline = Date.now() + timeoutMs;
    return patient
      ? patientBatch(router, items, deadline, signal)
      : router.batchScore(items, deadline, signal);
  };

  return {
    score: async (item, { signal } = {}) => {
      const deadline = Date.now() + timeoutMs;
      const request = toRequest(item);
      const again = () =>
        call.score(request, { timeoutMs: deadline - Date.now(), ...(signal && { signal }) });
      return fromResponse(await persist(again, deadline, signal));
    },
    batchScore: async (items, options = {}) => {
      const { requests, refused } = toRequests(items);
      if (requests.size === 0) return items.flatMap((_, i) => refused.get(i) ?? []);
      const { limits } = await getModel(options);
      const chunks = chunkRequests([...requests.values()], limits);
      const answers: ItemResult[][] = [];
      let next = 0;
      const work = async (): Promise<void> => {
        while (next < chunks.length) {
          const i = next++;
          answers[i] = await scoreChunk(chunks[i] ?? [], options);
        }
      };
      await Promise.all(Array.from({ length: CALLS_AT_ONCE }, work));
      const positions = [...requests.keys()];
      const results = new Map(answers.flat().map((answer, n) => [positions[n], answer]));
      return items.flatMap((_, i) => results.get(i) ?? refused.get(i) ?? []);
    },
    streamScore: (items, options = {}) => {
      const stream = new ItemStream(items, (requests) => call.streamScore(requests, options));
      return stream.results(Infinity, options.signal);
    },
    route: async (prompt, options) => {
      const { route, revision } = await call.route({ prompt: toPrompt(prompt) }, options);
      if (route === undefined) throw badAnswer('no route');
      return { ...fromRoute(route), revision };
    },
    getModel,
    waitForReady,
    close,
  };
}

/** Requests by the position of their items, and the errors of items that have no form on the wire. */
function toRequests(items: readonly ScoreItem[]): {
  readonly requests: ReadonlyMap<number, rewardV1.ScoreRequest>;
  readonly refused: ReadonlyMap<number, ItemResult>;
} {
  const requests = new Map<number, rewardV1.ScoreRequest>();
  const refused = new Map<number, ItemResult>();
  for (const [i, item] of items.entries())
    try {
      requests.set(i, toRequest(item));
    } catch (error) {
      refused.set(i, { type: 'error', error: DmoermError.from(error) });
    }
  return { requests, refused };
}

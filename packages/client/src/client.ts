import { DmoermError } from '@dmoerm/core';
import type { Prompt } from '@dmoerm/core';
import { rewardV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import type { ClientTls } from '@dmoerm/rpc';
import { chunkRequests } from './chunk';
import { badAnswer, fromItemResult, fromModel, fromResponse, fromRoute } from './from-response';
import { ItemStream } from './item-stream';
import type { StreamItem, StreamResult } from './item-stream';
import { withPatience } from './patience';
import { toPrompt, toRequest } from './to-request';
import type { ItemResult, ModelInfo, Route, ScoreItem, ScoredItem } from './types';

/** How a client proves who it is, and knows with whom it speaks. */
export interface ConnectionSecurity {
  /** Files with the authorities of servers and the client's own certificate; default plaintext. */
  readonly tls?: ClientTls;
  /** API token. */
  readonly token?: string;
}

/** Where the router is. */
export interface ClientOptions extends ConnectionSecurity {
  /** `host:port` or `dns:///host:port`. */
  readonly address: string;
  /** Longest time of one call, waits for a full queue included, milliseconds. Default 10 minutes. */
  readonly timeoutMs?: number;
  /** Whether to wait and call again while the router's queue is full or it restarts. Default true; a load generator must not. */
  readonly patient?: boolean;
}

/** How to make one call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** A client of a dmoerm mesh. All failures are DmoermErrors. */
export interface Client {
  /** Scores the candidates of one conversation. @throws DmoermError what is wrong with the item as a whole. */
  score(item: ScoreItem, options?: CallOptions): Promise<ScoredItem>;
  /**
   * Scores any number of items, in calls within the server's limits. One result per item, in their order; the failure of
   * a call is the error of its items.
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
/** Answers hold more than questions: capabilities, routes and timings of every candidate. */
const MAX_ANSWER_BYTES = 64 << 20;

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
  const { call, waitForReady, close } = connect(rewardV1.RewardServiceService, {
    target: address,
    timeoutMs,
    maxMessageBytes: MAX_ANSWER_BYTES,
    ...security,
  });

  const getModel = async (options?: CallOptions): Promise<ModelInfo> =>
    fromModel(await call.getModel({}, options));

  const scoreChunk = async (
    items: rewardV1.ScoreRequest[],
    { signal }: CallOptions,
  ): Promise<ItemResult[]> => {
    try {
      const deadline = Date.now() + timeoutMs;
      const again = () =>
        call.batchScore({ items }, { timeoutMs: deadline - Date.now(), ...(signal && { signal }) });
      const { results } = await persist(again, deadline, signal);
      if (results.length !== items.length) throw badAnswer('another number of items');
      return results.map(fromItemResult);
    } catch (cause) {
      const error = DmoermError.from(cause);
      return items.map(() => ({ type: 'error', error }));
    }
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
      if (items.length === 0) return [];
      const { limits } = await getModel(options);
      const chunks = chunkRequests(items.map(toRequest), limits);
      const results: ItemResult[][] = [];
      let next = 0;
      const work = async (): Promise<void> => {
        while (next < chunks.length) {
          const i = next++;
          results[i] = await scoreChunk(chunks[i] ?? [], options);
        }
      };
      await Promise.all(Array.from({ length: CALLS_AT_ONCE }, work));
      return results.flat();
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

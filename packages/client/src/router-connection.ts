import { DmoermError } from '@dmoerm/core';
import { rewardV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import type { ClientTls, RpcClient } from '@dmoerm/rpc';
import { badAnswer, fromItemResult, fromModel } from './from-response';
import type { ItemResult, ModelInfo } from './types';

/** How a client proves who it is, and knows with whom it speaks. */
export interface ConnectionSecurity {
  /** Files with the authorities of servers and the client's own certificate; default plaintext. */
  readonly tls?: ClientTls;
  /** API token. */
  readonly token?: string;
}

/** Where the router is. */
export interface RouterAddress extends ConnectionSecurity {
  /** `host:port` or `dns:///host:port`. */
  readonly address: string;
  /** Longest time of one call, milliseconds. */
  readonly timeoutMs: number;
}

/** How to make one call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** A router's calls, each made once: who waits for better times is the caller's affair. */
export interface RouterConnection extends Pick<
  RpcClient<typeof rewardV1.RewardServiceService>,
  'call' | 'waitForReady' | 'close'
> {
  /** Describes the model that serves. @throws DmoermError */
  getModel(options?: CallOptions): Promise<ModelInfo>;
  /**
   * Makes one call; one outcome per request, in their order and with as many candidates. The failure of the call is the error
   * of all of them. Fields of errors begin in the request: `candidates[1]`, not `items[3].candidates[1]`.
   * @param deadline epoch milliseconds.
   */
  batchScore(
    requests: readonly rewardV1.ScoreRequest[],
    deadline: number,
    signal?: AbortSignal,
  ): Promise<ItemResult[]>;
}

/** Answers hold more than questions: capabilities, routes and timings of every candidate. */
const MAX_ANSWER_BYTES = 64 << 20;

/**
 * Connects to a router; the connection is made by the first call.
 * @throws DmoermError INVALID_ARGUMENT, reason BAD_CERTIFICATE or TOKEN_IN_CLEAR.
 */
export function connectRouter({ address, timeoutMs, ...security }: RouterAddress): RouterConnection {
  const { call, waitForReady, close } = connect(rewardV1.RewardServiceService, {
    target: address,
    timeoutMs,
    maxMessageBytes: MAX_ANSWER_BYTES,
    ...security,
  });
  return {
    call,
    waitForReady,
    close,
    getModel: async (options) => fromModel(await call.getModel({}, options)),
    batchScore: async (requests, deadline, signal) => {
      try {
        const { results } = await call.batchScore(
          { items: [...requests] },
          { timeoutMs: deadline - Date.now(), ...(signal && { signal }) },
        );
        if (results.length !== requests.length) throw badAnswer('another number of items');
        return results.map((result, i) => toOutcome(result, requests[i]?.candidates.length ?? 0));
      } catch (error) {
        const failed: ItemResult = { type: 'error', error: DmoermError.from(error) };
        return requests.map(() => failed);
      }
    },
  };
}

/** One item's outcome; a result that does not keep to the API is the item's own error. */
function toOutcome(result: rewardV1.ItemResult, candidateCount: number): ItemResult {
  try {
    const outcome = fromItemResult(result);
    if (outcome.type === 'error') return { type: 'error', error: withinItem(outcome.error) };
    if (outcome.candidates.length !== candidateCount)
      throw badAnswer('another number of scores than candidates');
    const candidates = outcome.candidates.map((one) =>
      one.type === 'error' ? { ...one, error: withinItem(one.error) } : one,
    );
    return { ...outcome, candidates };
  } catch (error) {
    return { type: 'error', error: DmoermError.from(error) };
  }
}

/** The server names the item by its place in the call, which says nothing to the caller. */
function withinItem(error: DmoermError): DmoermError {
  return error.at(error.field?.replace(/^items\[\d+\]\.?/, '') || null);
}

import { withPatience } from '@dmoerm/client';
import type { Coalescer, ItemResult, ModelInfo, ScoreItem } from '@dmoerm/client';
import { DmoermError } from '@dmoerm/core';
import type { Identity } from '@dmoerm/rpc';
import type { Quotas } from '@dmoerm/serving';

/** For whom items are scored. */
export interface Caller {
  readonly identity: Identity | null;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** What a scorer works with. */
export interface ScorerParts {
  readonly coalescer: Coalescer;
  readonly quotas: Quotas;
  readonly getModel: () => Promise<ModelInfo>;
  /** Longest time of a request, milliseconds. */
  readonly deadlineMs: number;
}

/** Scores for callers over HTTP: within their quotas, together with each other's items, in time. */
export class Scorer {
  private latest: ModelInfo | null = null;

  constructor(private readonly parts: ScorerParts) {}

  /** One outcome per item, in their order. A used-up quota is waited for like a full queue, within the time. */
  async scoreAll(
    items: readonly (ScoreItem | DmoermError)[],
    { identity, signal }: Caller,
  ): Promise<ItemResult[]> {
    const deadline = Date.now() + this.parts.deadlineMs;
    const { quotas } = this.parts;
    try {
      await withPatience(async () => quotas.check(identity), deadline, signal);
    } catch (error) {
      return items.map(() => failed(error));
    }
    quotas.take(identity, items.length);
    const results = await Promise.all(items.map((item) => this.score(item, deadline, signal)));
    quotas.charge(identity, tokensOf(results));
    return results;
  }

  /** Describes the model that serves. @throws DmoermError */
  async model(): Promise<ModelInfo> {
    try {
      return (this.latest = await this.parts.getModel());
    } catch (cause) {
      const error = DmoermError.from(cause);
      // Nothing was asked of the model itself: a router that does not answer is away.
      throw error.code === 'DEADLINE_EXCEEDED'
        ? away(error, 'the router did not answer in time')
        : ofGateway(error);
    }
  }

  /** The model of a revision, as far as it still serves; else the one after it. @throws DmoermError */
  async modelOf(revision: string): Promise<ModelInfo> {
    return this.latest?.revision === revision ? this.latest : this.model();
  }

  private async score(
    item: ScoreItem | DmoermError,
    deadline: number,
    signal: AbortSignal,
  ): Promise<ItemResult> {
    if (item instanceof DmoermError) return failed(item);
    try {
      const timeoutMs = deadline - Date.now();
      return { type: 'scored', ...(await this.parts.coalescer.score(item, { signal, timeoutMs })) };
    } catch (error) {
      return failed(error);
    }
  }
}

function failed(error: unknown): ItemResult {
  return { type: 'error', error: ofGateway(DmoermError.from(error)) };
}

/**
 * An error on the way to the router, as callers of the gateway may see it: that the router does not let the gateway call is no fault of
 * theirs, and the transport's own words name addresses inside.
 */
function ofGateway(error: DmoermError): DmoermError {
  const { code, reason } = error;
  if (code === 'UNAVAILABLE' && reason === code)
    return away(error, 'the mesh cannot be reached; try again later');
  if (code === 'DEADLINE_EXCEEDED' && reason === code)
    return new DmoermError({ code, reason, message: 'the mesh did not answer in time', cause: error });
  if (code !== 'UNAUTHENTICATED' && code !== 'PERMISSION_DENIED') return error;
  return new DmoermError({
    code: 'INTERNAL',
    reason: 'ROUTER_REFUSES',
    message:
      "the router does not let this gateway call: the router's access file must know the gateway's certificate or token " +
      '(--router-token)',
    cause: error,
  });
}

function away(cause: DmoermError, message: string): DmoermError {
  return new DmoermError({ code: 'UNAVAILABLE', reason: 'UNAVAILABLE', message, cause });
}

/** Tokens of all candidates that have a score. */
function tokensOf(results: readonly ItemResult[]): number {
  return results
    .flatMap((result) => (result.type === 'scored' ? result.candidates : []))
    .reduce((sum, one) => sum + (one.type === 'score' ? one.tokenCount : 0), 0);
}

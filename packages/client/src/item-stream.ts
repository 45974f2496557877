import { DmoermError, invalidArgument } from '@dmoerm/core';
import type { rewardV1 } from '@dmoerm/protos';
import { fromItemResult } from './from-response';
import { Patience } from './patience';
import { toRequest } from './to-request';
import type { ItemResult, ScoreItem } from './types';

/** An item with the caller's name for it. */
export interface StreamItem {
  /** Unique among the items that are not answered yet, 1 to 128 bytes. */
  readonly id: string;
  readonly item: ScoreItem;
}

/** The outcome of an item of a stream. */
export interface StreamResult {
  readonly id: string;
  readonly result: ItemResult;
}

/** Opens a stream to the router. */
export type OpenStream = (
  requests: AsyncIterable<rewardV1.StreamScoreRequest>,
) => AsyncGenerator<rewardV1.StreamScoreResponse, void, void>;

/**
 * Items on their way over one stream after another: when a stream breaks, the next one asks for those that have no answer
 * yet, so that none is lost and none is answered twice. Items are taken from their source only as the stream takes them.
 */
export class ItemStream {
  /** Taken from the source and not answered. */
  private readonly pending = new Map<string, rewardV1.ScoreRequest>();
  private toSend: string[] = [];
  private readonly source: AsyncIterator<StreamItem> | Iterator<StreamItem>;
  private taking = false;
  private exhausted = false;
  private failure: { readonly error: unknown } | null = null;
  /** Which stream is the present one: the requests of those before it have nothing more to send. */
  private current = 0;
  private wake = (): void => undefined;

  constructor(
    items: AsyncIterable<StreamItem> | Iterable<StreamItem>,
    private readonly open: OpenStream,
  ) {
    this.source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  }

  /**
   * The outcomes as they come, in any order.
   * @param deadline epoch milliseconds.
   * @throws DmoermError if the stream breaks and cannot be resumed; what the source throws.
   */
  async *results(deadline: number, signal?: AbortSignal): AsyncGenerator<StreamResult, void, void> {
    const patience = new Patience(deadline, signal);
    try {
      for (;;) {
        let answers = 0;
        try {
          for await (const answer of this.open(this.requests(++this.current))) {
            answers += 1;
            const result = this.take(answer, patience);
            if (result !== null) yield result;
          }
          if (this.exhausted && this.pending.size === 0) return;
        } catch (error) {
          if (this.failure !== null) throw this.failure.error;
          // A call has a longest time; a stream that moves goes on in another call.
          const tooLong = error instanceof DmoermError && error.code === 'DEADLINE_EXCEEDED';
          if (!tooLong || answers === 0) await patience.wait(error);
        }
      }
    } finally {
      this.current += 1;
      this.wake();
      // Not waited for: a source that never gives its next item never returns either.
      void Promise.resolve(this.source.return?.()).catch(() => undefined);
    }
  }

  private take({ itemId, result }: rewardV1.StreamScoreResponse, patience: Patience): StreamResult | null {
    if (!this.pending.has(itemId)) return null;
    const outcome = fromItemResult(result ?? { outcome: undefined });
    const waitMs = outcome.type === 'error' ? patience.waitMs(outcome.error) : null;
    if (waitMs !== null) {
      setTimeout(() => this.send(itemId), waitMs);
      return null;
    }
    patience.progress();
    this.pending.delete(itemId);
    this.wake();
    return { id: itemId, result: outcome };
  }

  private async *requests(stream: number): AsyncGenerator<rewardV1.StreamScoreRequest, void, void> {
    this.toSend = [...this.pending.keys()];
    while (stream === this.current) {
      const itemId = this.toSend.shift();
      const item = itemId === undefined ? undefined : this.pending.get(itemId);
      if (itemId !== undefined && item !== undefined) yield { itemId, item };
      else if (this.failure !== null) throw this.failure.error;
      else if (this.exhausted && this.pending.size === 0) return;
      else if (itemId === undefined) {
        const woken = new Promise<void>((resolve) => (this.wake = resolve));
        void this.takeNext();
        await woken;
      }
    }
  }

  private send(id: string): void {
    this.toSend.push(id);
    this.wake();
  }

  /** Takes one item. It belongs to no stream: the one that asked may be over when it comes. */
  private async takeNext(): Promise<void> {
    if (this.taking || this.exhausted) return;
    this.taking = true;
    try {
      const next = await this.source.next();
      if (next.done === true) this.exhausted = true;
      else this.accept(next.value);
    } catch (error) {
      this.failure = { error };
    } finally {
      this.taking = false;
      this.wake();
    }
  }

  private accept({ id, item }: StreamItem): void {
    if (this.pending.has(id))
      throw invalidArgument('id', 'DUPLICATE_ITEM_ID', 'an item with this id is still under way');
    this.pending.set(id, toRequest(item));
    this.send(id);
  }
}

import { DmoermError, invalidArgument } from '@dmoerm/core';
import type { rewardV1 } from '@dmoerm/protos';
import { Readable } from 'node:stream';
import type { ItemOutcome } from './router';

/** Scores items that arrived together. */
export type ScoreAll = (items: readonly rewardV1.ScoreRequest[]) => Promise<readonly ItemOutcome[]>;

/** One answered item. */
export interface StreamAnswer {
  readonly itemId: string;
  readonly outcome: ItemOutcome;
}

const MAX_ID_BYTES = 128;

/**
 * Answers a stream of items in their order. At most `window` items are under way, then no more are read: the caller's
 * flow control does the rest. Every failure is the item's own; the stream goes on.
 */
export function answerStream(
  requests: AsyncIterable<rewardV1.StreamScoreRequest>,
  scoreAll: ScoreAll,
  window: number,
): AsyncIterable<StreamAnswer> {
  const together = new Together(scoreAll);
  const underWay = new Set<string>();
  const answer = async ({ itemId, item }: rewardV1.StreamScoreRequest): Promise<StreamAnswer> => {
    try {
      checkId(itemId, underWay);
      if (item === undefined) throw invalidArgument('item', 'NO_ITEM', 'the request has no item');
      underWay.add(itemId);
      const outcome = await together.score(item).finally(() => underWay.delete(itemId));
      return { itemId, outcome };
    } catch (error) {
      return { itemId, outcome: { type: 'error', error: DmoermError.from(error) } };
    }
  };
  return Readable.from(requests).map(answer, { concurrency: window });
}

function checkId(itemId: string, underWay: ReadonlySet<string>): void {
  const bytes = Buffer.byteLength(itemId);
  if (bytes === 0 || bytes > MAX_ID_BYTES)
    throw invalidArgument('item_id', 'BAD_ITEM_ID', `item_id must have 1 to ${MAX_ID_BYTES} bytes`);
  if (underWay.has(itemId))
    throw invalidArgument(
      'item_id',
      'DUPLICATE_ITEM_ID',
      'an item with this item_id is still under way on this stream',
    );
}

interface Waiting {
  readonly item: rewardV1.ScoreRequest;
  readonly resolve: (outcome: ItemOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** How long an item waits for others to travel with, milliseconds: little beside a forward pass. */
const COLLECT_MS = 2;

/** Items that arrive at nearly the same time travel together: a call costs more than an item. */
class Together {
  private waiting: Waiting[] = [];

  constructor(private readonly scoreAll: ScoreAll) {}

  score(item: rewardV1.ScoreRequest): Promise<ItemOutcome> {
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0) setTimeout(() => void this.flush(), COLLECT_MS);
      this.waiting.push({ item, resolve, reject });
    });
  }

  private async flush(): Promise<void> {
    const { waiting } = this;
    this.waiting = [];
    try {
      const outcomes = await this.scoreAll(waiting.map(({ item }) => item));
      waiting.forEach(({ resolve, reject }, i) => {
        const outcome = outcomes[i];
        if (outcome === undefined) reject(new Error('an item was lost'));
        else resolve(outcome);
      });
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}

import { DmoermError } from '@dmoerm/core';
import type { SpanContext } from '@opentelemetry/api';
import { setMaxListeners } from 'node:events';
import { withinBatchSpan } from './batch-span';
import { mergeEqual, takeBatch } from './merge';
import type { CallLimits } from './merge';
import { connectRouter } from './router-connection';
import type { CallOptions, ConnectionSecurity, RouterConnection } from './router-connection';
import { splitOutcome } from './split';
import { toRequest } from './to-request';
import type { ItemResult, ScoredItem, ScoreItem } from './types';
import { WaitingItem } from './waiting-item';

/** How items travel together. The server's own limits hold as well. */
export interface CoalescerBounds {
  /** Items of one call. Default 64. */
  readonly maxItems?: number;
  /** Bytes of one call. Default 4 MiB. */
  readonly maxBytes?: number;
  /** How long an item waits for others to travel with while fewer than `callsAtOnce` are under way, milliseconds. Default 5. */
  readonly waitMs?: number;
  /** Calls under way at once; what comes meanwhile travels with the next one. Default 4. */
  readonly callsAtOnce?: number;
}

/** Where the router is, and how to travel there. */
export interface CoalescerOptions extends ConnectionSecurity, CoalescerBounds {
  /** `host:port` or `dns:///host:port`. */
  readonly address: string;
  /** Longest time of one `score`, waits included, milliseconds. Default 10 minutes. */
  readonly timeoutMs?: number;
}

/** How to score one item. */
export interface CoalescedOptions extends CallOptions {
  /** Longest time, waits included, milliseconds; default the coalescer's. */
  readonly timeoutMs?: number;
}

/** Turns single scores of many callers into few calls of the server. All failures are DmoermErrors. */
export interface Coalescer {
  /**
   * Scores the candidates of one conversation, together with those of other callers. Equal prompts share a computation, and every
   * reward has the same bits as alone. While the router's queue is full, a quota used up or the mesh away, the item waits within its
   * time. Cancelled before it is sent, it is not sent.
   * @throws DmoermError what is wrong with this item, DEADLINE_EXCEEDED or CANCELLED.
   */
  score(item: ScoreItem, options?: CoalescedOptions): Promise<ScoredItem>;
  /** Takes no more items, and gives the connection up when those under way have their outcomes. */
  close(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 600_000;
const DEFAULTS = { maxItems: 64, maxBytes: 4 << 20, waitMs: 5, callsAtOnce: 4 } as const;
/** A router that was restarted may have other limits. */
const LIMITS_AGE_MS = 60_000;

/**
 * Connects to a router; the connection is made by the first call.
 * @throws DmoermError INVALID_ARGUMENT, reason BAD_CERTIFICATE or TOKEN_IN_CLEAR.
 */
export function createCoalescer({
  address,
  timeoutMs = DEFAULT_TIMEOUT_MS,
  maxItems = DEFAULTS.maxItems,
  maxBytes = DEFAULTS.maxBytes,
  waitMs = DEFAULTS.waitMs,
  callsAtOnce = DEFAULTS.callsAtOnce,
  ...security
}: CoalescerOptions): Coalescer {
  const router = connectRouter({ address, timeoutMs, ...security });
  const queue = new Queue(router, { maxItems, maxBytes, waitMs, callsAtOnce });
  return {
    score: async (item, { signal, timeoutMs: ownMs = timeoutMs } = {}) => {
      // One signal often stands for many items.
      if (signal !== undefined) setMaxListeners(0, signal);
      const waiting = new WaitingItem(toRequest(item), Date.now() + ownMs, signal);
      queue.enter(waiting);
      return waiting.outcome;
    },
    close: async () => {
      await queue.close();
      router.close();
    },
  };
}

/** Items on their way: each is in the queue, in a call, or waits to be asked again. */
class Queue {
  /** In the order in which they came; deleting one is cheap. */
  private readonly items = new Set<WaitingItem>();
  private bytes = 0;
  private calls = 0;
  private timer: NodeJS.Timeout | null = null;
  private limits: { readonly value: CallLimits; readonly askedAt: number } | null = null;
  private asking = false;
  /** Without an outcome yet, wherever they are. */
  private readonly underWay = new Set<WaitingItem>();
  private closed = false;

  constructor(
    private readonly router: RouterConnection,
    private readonly bounds: Required<CoalescerBounds>,
  ) {}

  enter(item: WaitingItem): void {
    if (this.closed) {
      item.fail(new DmoermError({ code: 'CANCELLED', reason: 'CLOSED', message: 'the client was closed' }));
      return;
    }
    this.underWay.add(item);
    item.onOver(() => {
      this.underWay.delete(item);
      this.remove(item);
    });
    this.put(item);
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.allSettled([...this.underWay].map(({ outcome }) => outcome));
  }

  private put(item: WaitingItem): void {
    if (item.isOver) return;
    item.queuedAt = performance.now();
    this.items.add(item);
    this.bytes += item.bytes;
    this.pump();
  }

  private remove(item: WaitingItem): void {
    if (this.items.delete(item)) this.bytes -= item.bytes;
  }

  /** Sends what may go now, and comes back for what may go later. */
  private pump(): void {
    while (this.calls < this.bounds.callsAtOnce && this.isDue()) {
      const limits = this.knownLimits();
      if (limits === null) return;
      const batch = takeBatch(this.items, limits);
      for (const item of batch) this.remove(item);
      this.calls += 1;
      void this.send(batch, limits).finally(() => {
        this.calls -= 1;
        this.pump();
      });
    }
    const [oldest] = this.items;
    if (oldest === undefined || this.timer !== null || this.calls >= this.bounds.callsAtOnce) return;
    this.timer = setTimeout(
      () => {
        this.timer = null;
        this.pump();
      },
      Math.max(1, oldest.queuedAt + this.bounds.waitMs - performance.now()),
    );
  }

  private isDue(): boolean {
    const [oldest] = this.items;
    if (oldest === undefined) return false;
    const full = this.items.size >= this.bounds.maxItems || this.bytes >= this.bounds.maxBytes;
    return full || performance.now() - oldest.queuedAt >= this.bounds.waitMs;
  }

  private async send(batch: readonly WaitingItem[], { maxCandidates }: CallLimits): Promise<void> {
    const nobodyWaits = new AbortController();
    let present = batch.length;
    for (const item of batch) item.onOver(() => void (--present === 0 && nobodyWaits.abort()));
    const merged = mergeEqual(batch, maxCandidates);
    const deadline = Math.max(...batch.map((item) => item.deadline));
    const callers = batch.flatMap(({ caller }): SpanContext[] => (caller === undefined ? [] : [caller]));
    const outcomes = await withinBatchSpan(callers, () =>
      this.router.batchScore(
        merged.map(({ request }) => request),
        deadline,
        nobodyWaits.signal,
      ),
    );
    merged.forEach((one, i) => {
      const outcome = outcomes[i];
      if (outcome !== undefined)
        for (const [item, result] of splitOutcome(one, outcome)) this.hand(item, result);
    });
  }

  private hand(item: WaitingItem, result: ItemResult): void {
    const waitMs = item.take(result);
    if (waitMs === null) return;
    const timer = setTimeout(() => this.put(item), waitMs);
    item.onOver(() => clearTimeout(timer));
  }

  /** What a call may hold; null while the router has not said. It is asked again now and then, and nobody waits for that. */
  private knownLimits(): CallLimits | null {
    if (this.limits === null || performance.now() - this.limits.askedAt > LIMITS_AGE_MS)
      void this.askLimits();
    return this.limits?.value ?? null;
  }

  private async askLimits(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      const { limits } = await this.router.getModel();
      const value = {
        maxItems: Math.min(this.bounds.maxItems, limits.maxItems),
        maxBytes: Math.min(this.bounds.maxBytes, limits.maxMessageBytes),
        maxCandidates: limits.maxCandidates,
      };
      this.limits = { value, askedAt: performance.now() };
    } catch (error) {
      // What is known still holds. Without it nothing can be sent: those who wait learn why, or wait on.
      if (this.limits === null)
        for (const item of [...this.items]) {
          this.remove(item);
          this.hand(item, { type: 'error', error: DmoermError.from(error) });
        }
    } finally {
      this.asking = false;
      this.pump();
    }
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ScoreItem } from '@dmoerm/client';

/** Gives an item its rewards, NaN where there is none or a lesser one. */
export type Score = (item: ScoreItem) => Promise<readonly number[]>;

/** Scores over gRPC. */
export function overGrpc(client: Client): Score {
  return async (item) =>
    (await client.score(item)).candidates.map((one) =>
      one.type === 'score' && !one.degraded ? one.reward : NaN,
    );
}

/** An item and the rewards that it must get. */
export interface Expected {
  readonly item: ScoreItem;
  readonly rewards: readonly number[];
}

/** What became of a load's calls. */
export interface Tally {
  calls: number;
  /** Reasons of errors, by number. */
  readonly failed: Map<string, number>;
  /** Answers with other rewards, or lesser ones. */
  wrong: number;
}

/** Calls that go on until they are stopped: `width` at once, each with one item. */
export class Load {
  private readonly tally: Tally = { calls: 0, failed: new Map(), wrong: 0 };
  private running = true;
  private readonly callers: Promise<void>[];

  constructor(
    private readonly score: Score,
    private readonly items: readonly Expected[],
    width: number,
  ) {
    this.callers = Array.from({ length: width }, (_, i) => this.call(i));
  }

  /** Lets it run on for a while. */
  async for(ms: number): Promise<void> {
    await sleep(ms);
  }

  /** Ends it; what became of all its calls. */
  async stop(): Promise<Tally> {
    this.running = false;
    await Promise.all(this.callers);
    return this.tally;
  }

  private async call(first: number): Promise<void> {
    const { tally, items } = this;
    for (let i = first; this.running; i++) {
      const expected = items[i % items.length];
      if (expected === undefined) return;
      tally.calls++;
      try {
        const rewards = await this.score(expected.item);
        if (rewards.some((reward, c) => reward !== expected.rewards[c])) tally.wrong++;
      } catch (error) {
        const { reason = 'UNKNOWN' } = error as { reason?: string };
        tally.failed.set(reason, (tally.failed.get(reason) ?? 0) + 1);
      }
    }
  }
}

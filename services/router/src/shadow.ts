import { randomUUID } from 'node:crypto';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import { commonV1, rewardV1, type bundleV1 } from '@dmoerm/protos';
import type { CallContext } from '@dmoerm/rpc';
import { logger } from '@dmoerm/telemetry';
import type { ItemOutcome } from './router';
import { ShadowComparison } from './shadow-report';

/** Items that are scored a second time at once; more are skipped: the traffic comes first. */
const MOST_AT_ONCE = 16;
/** Longest time of a second scoring, milliseconds. */
const TIMEOUT_MS = 60_000;

/** What a shadow works with. */
export interface ShadowParts {
  /** Scores items; what it scores is not offered to the shadow again. */
  readonly scoreAll: (
    requests: readonly rewardV1.ScoreRequest[],
    context: CallContext,
  ) => Promise<ItemOutcome[]>;
  /** @throws DmoermError if the revision is not resident here. */
  readonly requireResident: (revision: string) => void;
}

/** Scores a share of the traffic with a candidate revision too, after the callers have their answers. */
export class Shadow {
  private running: {
    readonly revision: string;
    readonly share: number;
    readonly seen: ShadowComparison;
  } | null = null;
  private atOnce = 0;

  constructor(private readonly parts: ShadowParts) {}

  /** @throws DmoermError INVALID_ARGUMENT for a share that is none; FAILED_PRECONDITION if the revision is not loaded. */
  start(revision: string, share: number): void {
    if (!(share > 0 && share <= 1))
      throw invalidArgument('share', 'BAD_SHARE', 'share is a part of the items: above 0, at most 1');
    this.parts.requireResident(revision);
    this.running = { revision, share, seen: new ShadowComparison(revision, share) };
    logger.info({ revision, share }, 'shadow scoring begins');
  }

  /** @throws DmoermError FAILED_PRECONDITION, reason `NO_SHADOW`. */
  report(): bundleV1.ShadowReport {
    if (this.running === null)
      throw new DmoermError({
        code: 'FAILED_PRECONDITION',
        reason: 'NO_SHADOW',
        message: 'no candidate revision is scored beside the traffic; start it first',
      });
    return this.running.seen.report();
  }

  /** @throws DmoermError FAILED_PRECONDITION, reason `NO_SHADOW`. */
  stop(): bundleV1.ShadowReport {
    const report = this.report();
    this.running = null;
    return report;
  }

  /** Answered items of a call; a share of them is scored again, and nobody waits for it. */
  offer(requests: readonly rewardV1.ScoreRequest[], outcomes: readonly ItemOutcome[]): void {
    const { running } = this;
    if (running === null) return;
    requests.forEach((request, i) => {
      const outcome = outcomes[i];
      // Who pins a revision measures it himself.
      if (outcome?.type !== 'response' || request.options?.revision || Math.random() >= running.share) return;
      if (this.atOnce >= MOST_AT_ONCE) return running.seen.skip();
      this.atOnce++;
      void this.score(request, running.revision)
        .then(
          (candidate) => running.seen.add(outcome.response, candidate),
          (error: unknown) => running.seen.fail(DmoermError.from(error).reason),
        )
        .finally(() => void this.atOnce--);
    });
  }

  private async score(request: rewardV1.ScoreRequest, revision: string): Promise<rewardV1.ScoreResponse> {
    const { BACKGROUND: priority } = commonV1.Priority;
    const options = { ...(request.options ?? rewardV1.ScoreOptions.create()), revision, priority };
    const [outcome] = await this.parts.scoreAll([{ ...request, options }], {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      deadline: Date.now() + TIMEOUT_MS,
      requestId: `shadow-${randomUUID()}`,
      // Nobody's quota pays for it.
      identity: null,
      peer: 'shadow',
    });
    if (outcome?.type !== 'response') throw outcome?.error ?? new Error('an item was lost');
    return outcome.response;
  }
}

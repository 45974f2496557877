import type { Code } from '@dmoerm/core';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Arrival } from './arrivals';

/** What became of a call. */
export interface Outcome {
  readonly code: Code | 'OK';
  /** Of the error; empty if there is none. */
  readonly reason: string;
  /** Answered, but not with the number that the oracle knows. */
  readonly wrong: boolean;
  /** Answered by a lesser rule, and it says so. */
  readonly degraded: boolean;
}

/** A call that was made. */
export interface CallRecord extends Outcome {
  /** When it was to be sent, from the start of the run, milliseconds. */
  readonly atMs: number;
  /** How much later it was sent, milliseconds: what the generator itself cannot keep up with. */
  readonly lateMs: number;
  /** From when it was to be sent to its answer, milliseconds: a stall counts for all who had to wait, also to be sent. */
  readonly latencyMs: number;
}

/** Something done to the system during the run, e.g. a fault. */
export interface TimedEvent {
  /** From the start of the run, milliseconds. */
  readonly atMs: number;
  run(): void;
}

/** A finished run. */
export interface LoadRun {
  /** When it began, epoch milliseconds. */
  readonly beganAt: number;
  /** In the order in which they were to be sent. */
  readonly calls: readonly CallRecord[];
}

/**
 * Sends every work at its time, however many are unanswered, and waits for all answers.
 * @param arrivals in the order of their times.
 * @param send never rejects: failures are outcomes.
 */
export async function runLoad<T>(
  arrivals: readonly Arrival<T>[],
  send: (work: T) => Promise<Outcome>,
  events: readonly TimedEvent[] = [],
): Promise<LoadRun> {
  const beganAt = Date.now();
  const start = performance.now();
  const elapsed = (): number => performance.now() - start;
  const timers = events.map(({ atMs, run }) => setTimeout(run, atMs));
  const calls: Promise<CallRecord>[] = [];
  for (const { atMs, work } of arrivals) {
    const waitMs = atMs - elapsed();
    // Timers fire up to a millisecond early or late; a burst is sent in one go.
    if (waitMs > 1) await sleep(waitMs);
    const lateMs = Math.max(0, elapsed() - atMs);
    calls.push(send(work).then((outcome) => ({ ...outcome, atMs, lateMs, latencyMs: elapsed() - atMs })));
  }
  const records = await Promise.all(calls);
  for (const timer of timers) clearTimeout(timer);
  return { beganAt, calls: records };
}

import { DmoermError } from '@dmoerm/core';
import * as fastq from 'fastq';
import { answerQuestion, type AskDeps } from './ask';
import { decide } from './decide';
import { isRetryable } from './endpoint-error';
import { toReply, type Journal } from './journal';
import { createPace, type PaceOptions } from './pace';
import type { Plan, Question } from './plan';
import { RETRY, type RetryOptions } from './retry';

/** So many questions in a row that used up their tries mean that the endpoint is down. */
const DOWN = 3;

/** What a run needs. */
export interface RunOptions extends Pick<AskDeps, 'endpoint' | 'journal' | 'budget'> {
  readonly plan: Plan;
  readonly pace: PaceOptions;
  readonly retry?: RetryOptions;
  /** Aborted by the user: what is on its way is waited for and journalled. */
  readonly signal: AbortSignal;
  /** Questions decided, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  /** A try failed and is made again. */
  readonly onRetry?: (error: DmoermError) => void;
}

/** How a run ended. */
export interface RunEnd {
  /** Questions that used up their tries; the next run asks them again. */
  readonly failed: number;
  /** Why the run stopped before all was asked; null if it did not. */
  readonly stopped: DmoermError | null;
}

/** The questions that the journal does not decide. */
export function openQuestions({ questions }: Plan, journal: Journal): Question[] {
  return questions.filter(({ key }) => decide(journal.replies(key).map(toReply)).type === 'ask');
}

/** Asks all open questions of a plan. Errors end up in the result: whatever was answered is in the journal. */
export async function runQuestions(options: RunOptions): Promise<RunEnd> {
  const { plan, journal, budget, endpoint, retry = RETRY, onProgress, onRetry } = options;
  const open = openQuestions(plan, journal);
  const total = plan.questions.length;
  const stop = new AbortController();
  const sent = new Set<Promise<unknown>>();
  let stopped: DmoermError | null = null;
  let done = total - open.length;
  let [failed, failedInRow] = [0, 0];
  const halt = (error: DmoermError): void => {
    stopped ??= error;
    stop.abort(stopped);
  };
  const pace = createPace(options.pace, (concurrency) => (queue.concurrency = concurrency));
  const track = (one: Promise<unknown>): void => {
    sent.add(one);
    const forget = (): boolean => sent.delete(one);
    one.then(forget, forget);
  };
  const deps: AskDeps = {
    ask: plan.ask,
    endpoint,
    journal,
    budget,
    pace,
    retry,
    signal: stop.signal,
    track,
    onRetry: onRetry ?? (() => undefined),
  };
  const work = async (question: Question): Promise<void> => {
    if (stop.signal.aborted) return;
    try {
      await answerQuestion(question, deps);
      failedInRow = 0;
      onProgress?.(++done, total);
    } catch (error) {
      if (stop.signal.aborted) return;
      if (!isRetryable(error)) return halt(await noteStop(question, error, journal));
      failed++;
      if (++failedInRow >= DOWN) halt(DmoermError.from(error));
    }
  };
  const queue = fastq.promise(work, options.pace.concurrency);
  const cancelled = (): void => halt(interrupted());
  options.signal.addEventListener('abort', cancelled, { once: true });
  if (options.signal.aborted) cancelled();
  // Waits before another try do not keep the process alive, so that a stop need not sit them out; this does while they matter.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    onProgress?.(done, total);
    const all = Promise.all(open.map((question) => queue.push(question)));
    const end = new Promise<void>((resolve) => {
      if (stop.signal.aborted) resolve();
      stop.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([all, end]);
    await Promise.allSettled(sent);
  } finally {
    clearInterval(alive);
    options.signal.removeEventListener('abort', cancelled);
  }
  return { failed, stopped };
}

/** Why a run stops: the error itself, with what the endpoint said kept in the journal. */
async function noteStop({ key }: Question, error: unknown, journal: Journal): Promise<DmoermError> {
  const why = DmoermError.from(error);
  const { status, body } = why.metadata;
  if (status !== undefined)
    await journal.append({
      type: 'stop',
      key,
      time: new Date().toISOString(),
      status: Number(status),
      body: body ?? '',
    });
  return why;
}

function interrupted(): DmoermError {
  return new DmoermError({
    code: 'CANCELLED',
    reason: 'INTERRUPTED',
    message: 'interrupted; run the same command again to go on where it stopped',
  });
}

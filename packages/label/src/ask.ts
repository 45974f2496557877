import { DmoermError, type Message } from '@dmoerm/core';
import { likelyTokens, type Budget } from './budget';
import { decide, replyToRepair, type Step } from './decide';
import type { Endpoint } from './endpoint';
import { isRetryable } from './endpoint-error';
import { toReply, type Journal, type JournalReply } from './journal';
import type { Pace } from './pace';
import { requestParameters, type AskOptions, type Question } from './plan';
import { buildPrompt, buildRepair, createNonce } from './prompt';
import { createRetry, type RetryOptions } from './retry';

/** A cut reply is asked for again with so many times the room. */
const LARGER = 4;

/** What asking stands on. */
export interface AskDeps {
  readonly ask: AskOptions;
  readonly endpoint: Endpoint;
  readonly journal: Journal;
  readonly budget: Budget;
  readonly pace: Pace;
  readonly retry: RetryOptions;
  /** Aborted when no further request may be sent. */
  readonly signal: AbortSignal;
  /** Takes every request that was sent: what is on its way is waited for, because it is paid for. */
  readonly track: (sent: Promise<unknown>) => void;
  /** A try failed in a way that another may not. */
  readonly onRetry: (error: DmoermError) => void;
}

/**
 * Asks what a question still lacks, journals every answer, and returns when the question is decided.
 * @throws DmoermError of the endpoint after its tries; BUDGET_REACHED; the signal's reason.
 */
export async function answerQuestion(question: Question, deps: AskDeps): Promise<void> {
  for (;;) {
    const replies = deps.journal.replies(question.key).map(toReply);
    const decision = decide(replies);
    if (decision.type !== 'ask') return;
    const { comparison, order } = question;
    const nonce = createNonce(comparison);
    const prompt = buildPrompt(comparison, { order, rationale: deps.ask.rationale, nonce });
    const messages = decision.step === 'repair' ? buildRepair(prompt, replyToRepair(replies)) : prompt;
    await send(question.key, decision.step, messages, deps);
  }
}

async function send(
  key: string,
  step: Step,
  messages: readonly Message[],
  { ask, retry, pace, signal, track, onRetry, ...deps }: AskDeps,
): Promise<void> {
  const maxTokens = step === 'larger' ? ask.maxTokens * LARGER : ask.maxTokens;
  const parameters = requestParameters(ask, maxTokens);
  let mark = 0;
  const again = createRetry(retry, (error) => {
    if (!(error instanceof DmoermError) || signal.aborted) return;
    if (error.metadata['status'] === '429') pace.slowDown(mark);
    if (isRetryable(error)) onRetry(error);
  });
  await again(async (tries) => {
    await pace.wait(likelyTokens(messages) + maxTokens, signal);
    signal.throwIfAborted();
    mark = pace.begin();
    const sent = askOnce({ key, step, messages, parameters, maxTokens, tries }, deps);
    track(sent);
    await sent;
    pace.speedUp();
  });
}

interface Try {
  readonly key: string;
  readonly step: Step;
  readonly messages: readonly Message[];
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly maxTokens: number;
  readonly tries: number;
}

async function askOnce(
  { key, step, messages, parameters, maxTokens, tries }: Try,
  { endpoint, journal, budget }: Pick<AskDeps, 'endpoint' | 'journal' | 'budget'>,
): Promise<void> {
  const ceiling = budget.ceiling(messages, maxTokens);
  budget.reserve(ceiling);
  const started = performance.now();
  let cost: number | null = null;
  try {
    const answer = await endpoint.complete(parameters, messages);
    cost = budget.costOf(answer.usage, ceiling);
    await journal.append({
      type: 'reply',
      key,
      step,
      time: new Date().toISOString(),
      model: answer.model,
      system_fingerprint: answer.systemFingerprint,
      content: answer.content,
      refusal: answer.refusal,
      finish_reason: answer.finishReason,
      usage: answer.usage && {
        prompt_tokens: answer.usage.promptTokens,
        completion_tokens: answer.usage.completionTokens,
      },
      latency_ms: Math.round(performance.now() - started),
      tries,
      cost,
    } satisfies JournalReply);
  } catch (error) {
    // Nobody knows whether an unanswered request is charged: it counts as if it were.
    if (error instanceof DmoermError && error.metadata['sent'] === 'yes') {
      cost = ceiling;
      await journal.append({ type: 'lost', key, time: new Date().toISOString(), reason: error.reason, cost });
    }
    throw error;
  } finally {
    budget.settle(ceiling, cost);
  }
}

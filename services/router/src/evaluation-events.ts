import type { CallContext } from '@dmoerm/rpc';
import { EVENTS } from '@dmoerm/telemetry';
import { trace } from '@opentelemetry/api';
import type { ItemOutcome } from './router';

/**
 * Notes every capability score on the span of the call, as OpenTelemetry's conventions for generative AI name it. Scores only:
 * no text is in it.
 */
export function recordEvaluations(answers: readonly ItemOutcome[], { requestId }: CallContext): void {
  const span = trace.getActiveSpan();
  if (span?.isRecording() !== true) return;
  answers.forEach((answer, i) => {
    if (answer.type === 'error') return;
    answer.response.results.forEach(({ outcome }, n) => {
      if (outcome?.$case !== 'score') return;
      for (const { name, score } of outcome.value.capabilities)
        span.addEvent(EVENTS.evaluationResult, {
          'gen_ai.evaluation.name': name,
          'gen_ai.evaluation.score.value': score,
          'gen_ai.response.id': `${requestId}/${i}/${n}`,
        });
    });
  });
}

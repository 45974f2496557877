import { toSigned } from '../numbers';
import type { Scoring } from '../use-score';

/** What a screen reader says when an answer comes. */
export function spoken(scoring: Scoring): string {
  if (scoring.type === 'none') return '';
  if (scoring.type === 'failed') return `No answer: ${scoring.error.message}`;
  return scoring.result.candidates
    .map((one, i) => `Response ${i + 1}: ${'error' in one ? 'no reward' : toSigned(one.reward)}.`)
    .join(' ');
}

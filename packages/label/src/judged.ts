import type { Comparison } from './comparison';
import { decide, type Decision } from './decide';
import { filterLabel, type Label } from './filter';
import { toReply, type Journal } from './journal';
import type { Plan } from './plan';

/** A comparison with all that a journal says about it. */
export interface Judged {
  readonly comparison: Comparison;
  readonly forward: Decision;
  readonly swapped: Decision;
  /** The forward question put a second time; null if that was not planned. */
  readonly repeated: Decision | null;
  readonly label: Label;
}

/** The labels of a plan: a pure function of its journal. */
export function judge(plan: Plan, journal: Pick<Journal, 'replies'>): Judged[] {
  const decideKey = (key: string): Decision => decide(journal.replies(key).map(toReply));
  return plan.comparisons.map(({ comparison, forward, swapped, repeated }) => {
    const decisions = { forward: decideKey(forward.key), swapped: decideKey(swapped.key) };
    return {
      comparison,
      ...decisions,
      repeated: repeated && decideKey(repeated.key),
      label: filterLabel(decisions.forward, decisions.swapped),
    };
  });
}

/** Whether everything that a plan expects is answered. */
export function isComplete(judged: readonly Judged[]): boolean {
  return judged.every(({ label, repeated }) => label.type !== 'open' && repeated?.type !== 'ask');
}

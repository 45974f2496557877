import type { Preference } from './comparison';
import type { Decision, DropReason } from './decide';
import type { Order } from './prompt';
import type { Verdict } from './verdict';

/** What both orders of a comparison amount to. */
export type Label =
  | { readonly type: 'kept'; readonly winner: 'first' | 'second' }
  | { readonly type: 'tie' }
  | { readonly type: 'dropped'; readonly reason: DropReason }
  | { readonly type: 'open' };

/** Reasons of single questions, the gravest first. */
const REASONS = ['refused', 'truncated', 'unparsable'] as const;

/**
 * The consistency filter: the same winner in both orders is kept, two ties are a tie, everything else is dropped. It removes the
 * noise of the order, not an error made in both.
 */
export function filterLabel(forward: Decision, swapped: Decision): Label {
  if (forward.type === 'ask' || swapped.type === 'ask') return { type: 'open' };
  if (forward.type === 'verdict' && swapped.type === 'verdict') {
    const one = preferenceOf(forward.verdict, 'forward');
    if (one !== preferenceOf(swapped.verdict, 'swapped')) return { type: 'dropped', reason: 'inconsistent' };
    return one === 'tie' ? { type: 'tie' } : { type: 'kept', winner: one };
  }
  const given = [forward, swapped].flatMap((one) => (one.type === 'dropped' ? [one.reason] : []));
  const reason = REASONS.find((one) => given.includes(one));
  if (reason === undefined) throw new Error('a question is neither decided nor dropped');
  return { type: 'dropped', reason };
}

/** The verdict on what was shown, in terms of the comparison. */
export function preferenceOf(verdict: Verdict, order: Order): Preference {
  if (verdict === 'tie') return 'tie';
  return (verdict === '1') === (order === 'forward') ? 'first' : 'second';
}

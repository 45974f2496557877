import { parseVerdict, type Verdict } from './verdict';

/** Why a question or a comparison has no label. */
export type DropReason = 'refused' | 'truncated' | 'unparsable' | 'inconsistent';

/** A question is put once; again with more room if the reply was cut; once more if it was no verdict. */
export type Step = 'first' | 'larger' | 'repair';

/** What a reply needs to have for a decision. */
export interface Reply {
  readonly step: Step;
  readonly content: string | null;
  readonly refusal: string | null;
  readonly finishReason: string | null;
}

/** What a question's replies amount to, or what is to be asked next. */
export type Decision =
  | { readonly type: 'ask'; readonly step: Step }
  | { readonly type: 'verdict'; readonly verdict: Verdict }
  | { readonly type: 'dropped'; readonly reason: Exclude<DropReason, 'inconsistent'> };

/** Decides a question from its replies alone, so that a journal says the same tomorrow. */
export function decide(replies: readonly Reply[]): Decision {
  const by = (step: Step): Reply | undefined => replies.find((reply) => reply.step === step);
  const first = by('first');
  if (first === undefined) return { type: 'ask', step: 'first' };
  if (isRefusal(first)) return dropped('refused');
  let reply = first;
  if (isCut(first)) {
    const larger = by('larger');
    if (larger === undefined) return { type: 'ask', step: 'larger' };
    if (isRefusal(larger)) return dropped('refused');
    if (isCut(larger)) return dropped('truncated');
    reply = larger;
  }
  const verdict = parseVerdict(reply.content ?? '');
  if (verdict !== null) return { type: 'verdict', verdict };
  const repair = by('repair');
  if (repair === undefined) return { type: 'ask', step: 'repair' };
  if (isRefusal(repair)) return dropped('refused');
  const repaired = isCut(repair) ? null : parseVerdict(repair.content ?? '');
  return repaired === null ? dropped('unparsable') : { type: 'verdict', verdict: repaired };
}

/** The reply that a repair has to quote: the last complete one. */
export function replyToRepair(replies: readonly Reply[]): string {
  const last = replies.find(({ step }) => step === 'larger') ?? replies.find(({ step }) => step === 'first');
  return last?.content ?? '';
}

function isRefusal({ content, refusal, finishReason }: Reply): boolean {
  if (refusal !== null && refusal !== '') return true;
  if (finishReason === 'content_filter') return true;
  // An empty reply that ran out of room is cut, not refused: reasoning may have used it up.
  return (content ?? '').trim() === '' && finishReason !== 'length';
}

function isCut({ finishReason }: Reply): boolean {
  return finishReason === 'length';
}

function dropped(reason: Exclude<DropReason, 'inconsistent'>): Decision {
  return { type: 'dropped', reason };
}

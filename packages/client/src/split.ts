import type { Merged, Parcel } from './merge';
import type { CandidateResult, ItemResult } from './types';

/** Each parcel's part of the outcome of the request that it travelled in, in their order. */
export function splitOutcome<P extends Parcel>(
  { parcels }: Merged<P>,
  outcome: ItemResult,
): (readonly [P, ItemResult])[] {
  let taken = 0;
  return parcels.map((parcel) => {
    const first = taken;
    taken += parcel.request.candidates.length;
    if (outcome.type === 'error') return [parcel, outcome];
    const candidates = outcome.candidates.slice(first, taken).map((one) => relocate(one, first));
    return [parcel, { ...outcome, candidates }];
  });
}

/** A candidate's error names it by its place among all candidates of the request; its caller knows its own. */
function relocate(result: CandidateResult, first: number): CandidateResult {
  if (result.type === 'score') return result;
  const field = result.error.field?.replace(
    /^candidates\[(\d+)\]/,
    (_, at) => `candidates[${Number(at) - first}]`,
  );
  return { type: 'error', error: result.error.at(field ?? null) };
}

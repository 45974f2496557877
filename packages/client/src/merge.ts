import { rewardV1 } from '@dmoerm/protos';
import { createHash } from 'node:crypto';

/** A request that travels with others. */
export interface Parcel {
  readonly request: rewardV1.ScoreRequest;
  /** Equal where prompt and options are: such requests become one. */
  readonly key: string;
  /** On the wire, if it shares its prompt with nobody. */
  readonly bytes: number;
}

/** What one call may hold. */
export interface CallLimits {
  readonly maxItems: number;
  readonly maxCandidates: number;
  readonly maxBytes: number;
}

/** A request of a call, and whose candidates it holds: those of the first, then those of the second, and so on. */
export interface Merged<P extends Parcel> {
  readonly request: rewardV1.ScoreRequest;
  readonly parcels: readonly P[];
}

/** Tag and length before each item in a message, bytes, at most. */
const FRAME_BYTES = 8;

/** Wraps a request. Its key is a digest of the encoded prompt and options: as good as these, and no second copy of them in memory. */
export function toParcel(request: rewardV1.ScoreRequest): Parcel {
  const rest = Buffer.from(rewardV1.ScoreRequest.encode({ ...request, candidates: [] }).finish());
  const candidates = request.candidates.reduce((sum, text) => sum + Buffer.byteLength(text) + FRAME_BYTES, 0);
  return {
    request,
    key: createHash('sha256').update(rest).digest('base64'),
    bytes: rest.length + candidates + FRAME_BYTES,
  };
}

/** The first parcels that fit into one call, in order; at least one, if there is any. */
export function takeBatch<P extends Parcel>(queue: Iterable<P>, { maxItems, maxBytes }: CallLimits): P[] {
  const batch: P[] = [];
  let bytes = 0;
  for (const parcel of queue) {
    bytes += parcel.bytes;
    if (batch.length === maxItems || (batch.length > 0 && bytes > maxBytes)) break;
    batch.push(parcel);
  }
  return batch;
}

/**
 * The requests of a call: parcels with equal prompts and options share one, so that the prompt is computed once, as far as the
 * candidates of a request may go. A parcel without candidates or with too many is left alone: the server says what is wrong with it.
 */
export function mergeEqual<P extends Parcel>(batch: readonly P[], maxCandidates: number): Merged<P>[] {
  const merged: { candidates: string[]; parcels: P[] }[] = [];
  const open = new Map<string, (typeof merged)[number]>();
  for (const parcel of batch) {
    const { candidates } = parcel.request;
    const group = open.get(parcel.key);
    if (
      group !== undefined &&
      candidates.length > 0 &&
      group.candidates.length + candidates.length <= maxCandidates
    ) {
      group.candidates.push(...candidates);
      group.parcels.push(parcel);
      continue;
    }
    const own = { candidates: [...candidates], parcels: [parcel] };
    merged.push(own);
    if (candidates.length > 0) open.set(parcel.key, own);
  }
  return merged.flatMap(({ candidates, parcels }) => {
    const [first] = parcels;
    return first === undefined ? [] : [{ request: { ...first.request, candidates }, parcels }];
  });
}

import { rewardV1 } from '@dmoerm/protos';

/** Tag and length before each item in a message, bytes, at most. */
const FRAME_BYTES = 8;

/** Cuts items into calls within a server's limits, in order; an item too large for any call is a call of its own. */
export function chunkRequests(
  requests: readonly rewardV1.ScoreRequest[],
  { maxItems, maxMessageBytes }: { readonly maxItems: number; readonly maxMessageBytes: number },
): rewardV1.ScoreRequest[][] {
  const chunks: rewardV1.ScoreRequest[][] = [];
  let bytes = 0;
  for (const request of requests) {
    const size = rewardV1.ScoreRequest.encode(request).finish().length + FRAME_BYTES;
    const last = chunks.at(-1);
    if (last !== undefined && last.length < maxItems && bytes + size <= maxMessageBytes) {
      last.push(request);
      bytes += size;
    } else {
      chunks.push([request]);
      bytes = size;
    }
  }
  return chunks;
}

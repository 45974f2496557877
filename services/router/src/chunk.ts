/** What a chunk of work costs on the wire. */
export interface Sized {
  readonly candidateCount: number;
  /** Text of the prompt and candidates, bytes. */
  readonly bytes: number;
}

/** Bounds of one chunk. */
export interface ChunkLimits {
  /** They bound the answer: each candidate comes back with its embeddings. */
  readonly maxCandidates: number;
  readonly maxBytes: number;
}

/** Cuts work into chunks within the limits, in order; an item that exceeds them alone is a chunk of its own. */
export function chunk<T extends Sized>(items: readonly T[], { maxCandidates, maxBytes }: ChunkLimits): T[][] {
  const chunks: T[][] = [];
  let candidates = 0;
  let bytes = 0;
  for (const item of items) {
    const last = chunks.at(-1);
    const fits = candidates + item.candidateCount <= maxCandidates && bytes + item.bytes <= maxBytes;
    if (last !== undefined && fits) last.push(item);
    else {
      chunks.push([item]);
      candidates = 0;
      bytes = 0;
    }
    candidates += item.candidateCount;
    bytes += item.bytes;
  }
  return chunks;
}

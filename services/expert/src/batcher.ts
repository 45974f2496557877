/** Something that waits for the engine. */
export interface Waiting {
  /** Only entries of the same lane can share a batch: those of one model. Compared by identity. */
  readonly lane: unknown;
  /** Cost in the engine. */
  readonly tokens: number;
}

/** A batch and what still waits. */
export interface Split<E> {
  /** In queue order, one lane; within the budget, unless it is one entry alone that exceeds it. */
  readonly batch: readonly E[];
  /** All others, in queue order. */
  readonly rest: readonly E[];
}

/**
 * Takes the next batch off a queue: the entry that waited longest and those behind it of the same lane, until one does
 * not fit. That one and all behind it in its lane stay, so that nobody is overtaken within a lane and the longest waiting
 * entry always goes first.
 */
export function takeBatch<E extends Waiting>(queue: readonly E[], maxTokens: number): Split<E> {
  const batch: E[] = [];
  const rest: E[] = [];
  let tokens = 0;
  let full = false;
  for (const entry of queue) {
    const [head] = batch;
    const fits =
      head === undefined || (entry.lane === head.lane && !full && tokens + entry.tokens <= maxTokens);
    if (fits) {
      batch.push(entry);
      tokens += entry.tokens;
    } else {
      full ||= entry.lane === head.lane;
      rest.push(entry);
    }
  }
  return { batch, rest };
}

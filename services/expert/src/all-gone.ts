/** A signal that is aborted once all of `signals` are. */
export interface AllGone extends Disposable {
  readonly signal: AbortSignal;
}

/** Watches the callers of a batch: its work is worth nothing only when none of them waits any more. */
export function whenAllGone(signals: readonly AbortSignal[]): AllGone {
  const controller = new AbortController();
  const distinct = [...new Set(signals)];
  const check = (): void => {
    if (distinct.every(({ aborted }) => aborted)) controller.abort();
  };
  for (const signal of distinct) signal.addEventListener('abort', check);
  check();
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const signal of distinct) signal.removeEventListener('abort', check);
    },
  };
}

import { useCallback, useRef, useState } from 'react';
import { score, type ApiError, type Result } from './api';
import type { Item } from './draft';

/** What the page knows of the last request. */
export type Scoring =
  | { readonly type: 'none' }
  | { readonly type: 'done'; readonly item: Item; readonly result: Result; readonly roundTripNs: number }
  | { readonly type: 'failed'; readonly item: Item; readonly error: ApiError };

/** Scores items, the last one asked for only: a new request ends the one before. */
export function useScore(): {
  readonly scoring: Scoring;
  readonly busy: boolean;
  readonly ask: (item: Item, token: string) => void;
} {
  const [scoring, setScoring] = useState<Scoring>({ type: 'none' });
  const [busy, setBusy] = useState(false);
  const underway = useRef<AbortController | null>(null);
  const ask = useCallback((item: Item, token: string) => {
    underway.current?.abort();
    const controller = new AbortController();
    underway.current = controller;
    setBusy(true);
    const start = performance.now();
    const run = async (): Promise<void> => {
      const reply = await score(item, token, controller.signal);
      if (controller.signal.aborted) return;
      const roundTripNs = (performance.now() - start) * 1e6;
      setScoring(
        reply.type === 'error'
          ? { type: 'failed', item, error: reply.error }
          : { type: 'done', item, result: reply.value, roundTripNs },
      );
      setBusy(false);
    };
    // Only a call that was ended rejects, and the one after it tells what became of it.
    run().catch(() => undefined);
  }, []);
  return { scoring, busy, ask };
}

import { setTimeout as sleep } from 'node:timers/promises';

const PAUSE_MS = 250;

/** Asks until there is an answer: what another process shows has no event of its own. Null: there was none in time. */
export async function until<T>(ask: () => Promise<T | null>, timeoutMs: number): Promise<T | null> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null || Date.now() > end) return answer;
    await sleep(PAUSE_MS);
  }
}

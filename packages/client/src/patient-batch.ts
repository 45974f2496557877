import { DmoermError } from '@dmoerm/core';
import type { rewardV1 } from '@dmoerm/protos';
import { Patience } from './patience';
import type { RouterConnection } from './router-connection';
import type { ItemResult } from './types';

/**
 * Scores the requests of one call, and asks again for those whose failure passes with time: a full queue, a used-up quota, a mesh
 * that is away. What has an outcome is not asked again.
 * @param deadline epoch milliseconds.
 */
export async function patientBatch(
  router: Pick<RouterConnection, 'batchScore'>,
  requests: readonly rewardV1.ScoreRequest[],
  deadline: number,
  signal?: AbortSignal,
): Promise<ItemResult[]> {
  const patience = new Patience(deadline, signal);
  const outcomes: ItemResult[] = [];
  let open = requests.map((request, at) => ({ request, at }));
  for (;;) {
    const answers = await router.batchScore(
      open.map(({ request }) => request),
      deadline,
      signal,
    );
    if (answers.some(({ type }) => type === 'scored')) patience.progress();
    let waitMs = 0;
    open = open.filter(({ at }, i) => {
      const outcome = answers[i];
      if (outcome === undefined) return false;
      outcomes[at] = outcome;
      const wait = outcome.type === 'error' ? patience.waitMs(outcome.error) : null;
      waitMs = Math.max(waitMs, wait ?? 0);
      return wait !== null;
    });
    if (open.length === 0) return outcomes;
    try {
      await patience.sleep(waitMs);
    } catch (cancelled) {
      for (const { at } of open) outcomes[at] = { type: 'error', error: DmoermError.from(cancelled) };
      return outcomes;
    }
  }
}

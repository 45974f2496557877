import type { CandidateResult, Client, ScoredItem } from '@dmoerm/client';
import { DmoermError } from '@dmoerm/core';
import type { Work } from './bursts';
import type { Outcome } from './run-load';

/** Per candidate of an item its reward, or the reason of its error; undefined: the oracle does not know the revision or item. */
export type Oracle = (id: string, revision: string) => readonly (number | string)[] | undefined;

/**
 * Sends works through a client. An answer is wrong if one of its rewards is not the oracle's to the bit, or an error or
 * a reward is where the oracle has the other; degraded rewards say that they differ, and are not compared.
 */
export function scoreWork(client: Pick<Client, 'score'>, oracle?: Oracle): (work: Work) => Promise<Outcome> {
  return async (work) => {
    try {
      const scored = await client.score(work.item);
      return judge(work, scored, oracle);
    } catch (error) {
      return failed(DmoermError.from(error));
    }
  };
}

function judge(work: Work, { candidates, revision }: ScoredItem, oracle: Oracle | undefined): Outcome {
  const degraded = candidates.some((one) => one.type === 'score' && one.degraded);
  const known = oracle?.(work.id, revision);
  const agrees = (one: CandidateResult, i: number): boolean => {
    const want = known?.[work.firstCandidate + i];
    if (one.type === 'error') return one.error.reason === want;
    return one.degraded ? typeof want === 'number' : one.reward === want;
  };
  if (oracle !== undefined) return { code: 'OK', reason: '', degraded, wrong: !candidates.every(agrees) };
  const bad = candidates.find((one) => one.type === 'error');
  return bad === undefined ? { code: 'OK', reason: '', degraded, wrong: false } : failed(bad.error);
}

function failed({ code, reason }: DmoermError): Outcome {
  return { code, reason, wrong: false, degraded: false };
}

import type { rewardV1 } from '@dmoerm/protos';
import { metrics } from '@dmoerm/telemetry';
import { observeLengths } from './length-pairs';

/** Candidates by tokens and reward; null has an error. */
async function count(candidates: readonly ([tokens: number, reward: number] | null)[]): Promise<object> {
  metrics.lengthPairs.reset();
  observeLengths(
    'chat',
    candidates.map((one) => {
      if (one === null) return { outcome: { $case: 'error', value: { code: 3, message: '', details: [] } } };
      const [tokenCount, reward] = one;
      return { outcome: { $case: 'score', value: { tokenCount, reward } as rewardV1.Score } };
    }),
  );
  const { values } = await metrics.lengthPairs.get();
  return Object.fromEntries(values.map(({ labels, value }) => [labels.preferred, value]));
}

describe('observeLengths', () => {
  it('counts pairs of neighbours by the length of the better one', async () => {
    expect(
      await count([
        [5, 1],
        [9, 2],
        [5, 2],
        [9, 1],
        [9, 3],
        [5, 0],
      ]),
    ).toEqual({ longer: 2, shorter: 1 });
  });

  it('leaves out what says nothing: equal lengths, equal rewards, no reward, no neighbour', async () => {
    expect(await count([[5, 1], [5, 2], null, [5, 1], [6, 1], [7, 3]])).toEqual({});
  });
});

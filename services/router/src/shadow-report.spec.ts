import { rewardV1 } from '@dmoerm/protos';
import fc from 'fast-check';
import { ShadowComparison } from './shadow-report';

const response = (rewards: readonly (number | null)[], task = 'chat'): rewardV1.ScoreResponse =>
  rewardV1.ScoreResponse.fromPartial({
    results: rewards.map((reward) =>
      reward === null ? {} : { outcome: { $case: 'score', value: { reward, route: { task } } } },
    ),
  });

const reward = fc.integer({ min: -40, max: 40 }).map((value) => 1e6 + value / 4);
const item = fc.array(fc.tuple(reward, reward), { minLength: 1, maxLength: 5 });

it('counts pairs, order, correlation and moments as the definitions say, also far from zero', () => {
  fc.assert(
    fc.property(fc.array(item, { minLength: 2, maxLength: 12 }), (items) => {
      const comparison = new ShadowComparison('r', 1);
      for (const pairs of items)
        comparison.add(response(pairs.map(([mine]) => mine)), response(pairs.map(([, theirs]) => theirs)));
      const [task] = comparison.report().tasks;
      const all = items.flat();
      const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
      const [mine, theirs] = [all.map(([one]) => one), all.map(([, other]) => other)];
      const spread = (values: number[]): number =>
        Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));
      expect(Number(task?.candidates)).toBe(all.length);
      expect(task?.active?.deviation).toBeCloseTo(spread(mine), 6);
      expect(task?.candidate?.mean).toBeCloseTo(mean(theirs), 6);
      const product = spread(mine) * spread(theirs);
      const covariance = mean(all.map(([a, b]) => (a - mean(mine)) * (b - mean(theirs))));
      expect(task?.correlation).toBeCloseTo(product > 0 ? covariance / product : 0, 5);
      const orders = items.flatMap((pairs) =>
        pairs.flatMap(([a, b], i) => pairs.slice(i + 1).map(([c, d]) => Math.sign(a - c) * Math.sign(b - d))),
      );
      const decided = orders.filter((order) => order !== 0);
      expect(Number(task?.pairs)).toBe(decided.length);
      const agreed = decided.filter((order) => order > 0).length;
      expect(task?.sameOrder).toBeCloseTo(decided.length === 0 ? 0 : agreed / decided.length, 10);
    }),
  );
});

it('items that the candidate sends elsewhere, fails or has no place for are counted and compared with nothing', () => {
  const comparison = new ShadowComparison('r', 0.5);
  comparison.add(response([1, 2]), response([1, 2], 'qa'));
  comparison.add(response([1, null, 3]), response([null, 2, 4]));
  comparison.fail('NO_REPLICA');
  comparison.fail('NO_REPLICA');
  comparison.skip();
  expect(comparison.report()).toMatchObject({
    items: 2n,
    rerouted: 1n,
    skipped: 1n,
    failures: { NO_REPLICA: 2n },
    tasks: [{ task: 'chat', candidates: 1n, pairs: 0n, sameOrder: 0, correlation: 0 }],
  });
});

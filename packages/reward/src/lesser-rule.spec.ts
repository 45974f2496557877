import { lesserReward } from './lesser-rule';

const SCALES = [
  { mean: 1, std: 2 },
  { mean: 0, std: 1 },
];

describe('lesserReward', () => {
  it('is the mean of the standardised scores, shared among the experts', () => {
    expect(lesserReward([5, -1], SCALES)).toEqual({
      reward: 0.5,
      contributions: [1, -0.5],
      expertSpread: 1.5,
    });
  });

  it('never makes a number of what is none', () => {
    expect(lesserReward([5, NaN], SCALES).reward).toBeNaN();
    expect(lesserReward([5], SCALES).reward).toBeNaN();
  });
});

import { ranks } from './ranks';

describe('ranks', () => {
  it('gives equal rewards equal places and none to what has none', () => {
    expect(ranks([0.5, null, 2, 0.5, -1])).toEqual([2, null, 1, 2, 4]);
  });
});

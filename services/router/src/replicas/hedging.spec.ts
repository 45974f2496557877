import fc from 'fast-check';
import { Hedging } from './hedging';

describe('Hedging', () => {
  it('never spends more than its share of the calls, however they come', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 100, maxLength: 2000 }),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        (steps, share) => {
          const hedging = new Hedging(share);
          let calls = 0;
          let hedges = 0;
          for (const isCall of steps)
            if (isCall) {
              hedging.called();
              calls += 1;
            } else if (hedging.take()) hedges += 1;
          expect(hedges).toBeLessThanOrEqual(calls * share + 1e-6);
        },
      ),
    );
  });

  it('spends all of its share when every call is late', () => {
    const hedging = new Hedging(0.05);
    let hedges = 0;
    for (let i = 0; i < 1000; i++) {
      hedging.called();
      if (hedging.take()) hedges += 1;
    }
    expect(hedges).toBe(50);
  });

  it('knows the 95th percentile of the last answers, and nothing before there are enough', () => {
    const hedging = new Hedging(0.05);
    for (let i = 0; i < 20; i++) hedging.answered(1);
    expect(hedging.delayMs).toBeNull();
    for (let round = 0; round < 4; round++) for (let ms = 1; ms <= 100; ms++) hedging.answered(ms);
    expect(Math.abs((hedging.delayMs ?? 0) - 95)).toBeLessThanOrEqual(2);
    expect(new Hedging(0).delayMs).toBeNull();
  });
});

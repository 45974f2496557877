import fc from 'fast-check';
import { curveFigures, fitCurve, fitLearningCurve } from './curve';

const D = [0.2, 0.8, 1.1, 1.5, 2];

describe('fitCurve', () => {
  it('finds the curve that made the points', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -3, max: 3, noNaN: true }),
        fc.double({ min: 0.1, max: 2, noNaN: true }),
        (a, b) => {
          const fit = fitCurve(
            D,
            D.map((d) => d * (a - b * d)),
          );
          expect(fit.alpha).toBeCloseTo(a, 6);
          expect(fit.beta).toBeCloseTo(b, 6);
          expect(fit.peak).toBeCloseTo(a / (2 * b), 4);
        },
      ),
    );
  });

  it('has no peak where the curve does not turn', () => {
    expect(
      fitCurve(
        D,
        D.map((d) => d * (1 + d)),
      ).peak,
    ).toBe(Infinity);
  });
});

describe('fitLearningCurve', () => {
  it('finds the curve that made the points, and where it turns', () => {
    const [alpha, beta] = [0.9, 0.6];
    const fit = fitLearningCurve(
      D,
      D.map((d) => d * (alpha - beta * Math.log(d))),
    );
    expect([fit.alpha, fit.beta]).toEqual([expect.closeTo(alpha, 9), expect.closeTo(beta, 9)]);
    const rewardAt = (d: number): number => d * (alpha - beta * Math.log(d));
    for (const by of [0.99, 1.01]) expect(rewardAt(fit.peak)).toBeGreaterThan(rewardAt(by * fit.peak));
  });
});

describe('curveFigures', () => {
  it('are final, best, drop and mean', () => {
    expect(curveFigures([0, 1, 2], [0, 2, 1])).toEqual({ final: 1, best: 2, drop: 1, late: -1, area: 1.25 });
    expect(curveFigures([0, 1, 2], [0, 1, 2])).toMatchObject({ drop: 0, late: 1 });
  });
});

import fc from 'fast-check';
import { advantages, logRatio, tokenWeights } from './grpo';

const logProbs = fc.array(fc.double({ min: -6, max: -0.01, noNaN: true }), { minLength: 4, maxLength: 4 });

describe('advantages', () => {
  it('have mean 0 and deviation 1, and are 0 where nothing is to be told apart', () => {
    const own = advantages([1, 2, 4, 9]);
    expect(own.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 12);
    expect(own.reduce((a, b) => a + b * b, 0) / 4).toBeCloseTo(1, 12);
    expect(advantages([0.3, 0.3, 0.3])).toEqual([0, 0, 0]);
  });
});

describe('tokenWeights', () => {
  it("are minus the derivatives of GRPO's loss by each log-probability", () => {
    fc.assert(
      fc.property(
        logProbs,
        logProbs,
        fc.double({ min: -2, max: 2, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (policy, reference, advantage, beta) => {
          // The ratio is to the log-probabilities of the draw, which stay as they are.
          const loss = (at: readonly number[]): number =>
            at.reduce((sum, own, t) => {
              const l = own - reference[t]!;
              return sum - advantage * Math.exp(own - policy[t]!) + beta * (Math.exp(-l) - 1 + l);
            }, 0) / at.length;
          const weights = tokenWeights(advantage, { policy, reference }, beta, 1);
          policy.forEach((own, t) => {
            const [up, down] = [1e-5, -1e-5].map((by) => loss(policy.with(t, own + by)));
            const slope = (up! - down!) / 2e-5;
            expect(Math.abs(weights[t]! + slope)).toBeLessThan(1e-4 * (1 + Math.abs(slope)));
          });
        },
      ),
    );
  });

  it('pull back to the reference alone where there is no advantage, and not at all without beta', () => {
    const tokens = { policy: [-1, -3], reference: [-2, -2] };
    const [likelier, rarer] = tokenWeights(0, tokens, 0.5, 1);
    expect(likelier).toBeLessThan(0);
    expect(rarer).toBeGreaterThan(0);
    expect([...tokenWeights(0, tokens, 0, 1)].map(Math.abs)).toEqual([0, 0]);
  });
});

describe('logRatio', () => {
  it('is 0 for the policy that it began as', () => {
    expect(logRatio({ policy: [-1, -2], reference: [-1, -2] })).toBe(0);
    expect(logRatio({ policy: [-1, -2], reference: [-1.5, -3] })).toBeCloseTo(1.5, 12);
  });
});

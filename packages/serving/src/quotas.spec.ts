import fc from 'fast-check';
import type { Identity } from '@dmoerm/rpc';
import { Quotas } from './quotas';

const identity = (items: number | null, tokens: number | null, name = 'a'): Identity => ({
  name,
  role: 'trainer',
  quota: { items, tokens },
});

function admitted(quotas: Quotas, who: Identity | null): boolean {
  try {
    quotas.check(who);
    return true;
  } catch {
    return false;
  }
}

describe('Quotas', () => {
  it('never let more through than the rate and the burst, and the named time is enough', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 1, max: 500 })), {
          maxLength: 100,
        }),
        (rate, calls) => {
          let now = 0;
          let used = 0;
          const quotas = new Quotas(() => now);
          const who = identity(null, rate);
          for (const [pause, tokens] of calls) {
            now += pause;
            try {
              quotas.check(who);
            } catch (error) {
              now += (error as { retryAfterMs: number }).retryAfterMs;
              expect(admitted(quotas, who)).toBe(true);
            }
            // One call may go over: its size is known too late.
            expect(used).toBeLessThanOrEqual(rate * (now / 1e3 + 10) + 1e-5 * rate);
            quotas.charge(who, tokens);
            used += tokens;
          }
        },
      ),
    );
  });

  it('are accounts of their own, for items and tokens, and nothing to whoever has none', () => {
    const quotas = new Quotas(() => 0);
    quotas.take(identity(1, null), 100);
    quotas.charge(identity(null, null, 'free'), 1e9);
    expect(admitted(quotas, identity(1, null))).toBe(false);
    expect(admitted(quotas, identity(1, null, 'b'))).toBe(true);
    expect(admitted(quotas, identity(null, null, 'free'))).toBe(true);
    expect(admitted(quotas, null)).toBe(true);
  });
});

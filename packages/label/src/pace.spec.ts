import { DmoermError } from '@dmoerm/core';
import fc from 'fast-check';
import { createBudget } from './budget';
import { isRetryable, readRetryAfter, toStatusError } from './endpoint-error';
import { createPace } from './pace';
import { RETRY, retryDelay } from './retry';

const never = new AbortController().signal;
const limits = { requestsPerMinute: null, tokensPerMinute: null, concurrency: 8 };

describe('token buckets', () => {
  const elapsed = async (pace: ReturnType<typeof createPace>, tokens: number): Promise<number> => {
    const start = performance.now();
    await Promise.all(Array.from({ length: 6 }, () => pace.wait(tokens, never)));
    return performance.now() - start;
  };

  it.each([
    ['requests', { ...limits, requestsPerMinute: 1_200 }, 1],
    ['tokens', { ...limits, tokensPerMinute: 120_000 }, 100],
  ])('let no more %s pass than their limit', async (_, options, tokens) => {
    // 6 of them at 20 a second.
    expect(
      await elapsed(
        createPace(options, () => undefined),
        tokens,
      ),
    ).toBeGreaterThan(240);
  });

  it('hold nothing back where there is no limit', async () => {
    const pace = createPace(limits, () => undefined);
    const waits = Promise.all(Array.from({ length: 100 }, () => pace.wait(1e6, never)));
    const later = new Promise((resolve) => setImmediate(() => resolve('later')));
    expect(await Promise.race([waits, later])).not.toBe('later');
  });

  it('let a request pass that is larger than the bucket, and make it wait for all of it', async () => {
    const start = performance.now();
    await createPace({ ...limits, tokensPerMinute: 60_000 }, () => undefined).wait(1_100, never);
    expect(performance.now() - start).toBeGreaterThan(1_050);
  });

  it('end their wait when the run stops', async () => {
    const stop = new AbortController();
    const waiting = createPace({ ...limits, requestsPerMinute: 0.001 }, () => undefined).wait(1, stop.signal);
    stop.abort();
    await expect(waiting).rejects.toThrow();
  });
});

describe('concurrency', () => {
  it('halves once for all requests that were on their way, and grows back one by one', () => {
    const seen: number[] = [];
    const pace = createPace(limits, (one) => seen.push(one));
    const marks = [pace.begin(), pace.begin(), pace.begin()];
    marks.forEach((mark) => pace.slowDown(mark));
    expect(seen).toEqual([4]);
    pace.slowDown(pace.begin());
    expect(seen).toEqual([4, 2]);
    for (let i = 0; i < 2 + 3; i++) pace.speedUp();
    expect(seen).toEqual([4, 2, 3, 4]);
    for (let i = 0; i < 100; i++) pace.speedUp();
    expect(pace.concurrency).toBe(8);
  });

  it('never falls below one', () => {
    const pace = createPace({ ...limits, concurrency: 1 }, () => undefined);
    pace.slowDown(pace.begin());
    expect(pace.concurrency).toBe(1);
  });
});

describe('the wait before another try', () => {
  const plain = toStatusError(500, new Headers(), '');

  it('is anything from nothing to a bound that doubles from 1 to 60 s', () => {
    const most = [1, 2, 3, 4, 5, 6, 7].map((attempt) => retryDelay(plain, attempt, RETRY, () => 1));
    expect(most).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]);
    expect(retryDelay(plain, 7, RETRY, () => 0)).toBe(0);
  });

  it('is never shorter than the endpoint asked for', () => {
    const asked = toStatusError(429, new Headers({ 'retry-after': '7' }), '');
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (attempt, random) => {
          expect(retryDelay(asked, attempt, RETRY, () => random)).toBeGreaterThanOrEqual(7_000);
          expect(retryDelay(plain, attempt, RETRY, () => random)).toBeLessThanOrEqual(60_000);
        },
      ),
    );
    // Without the header the first wait is short.
    expect(retryDelay(plain, 1, RETRY, () => 1)).toBeLessThan(7_000);
  });

  it.each([
    [{ 'retry-after': '3' }, 3_000],
    [{ 'retry-after': '0.5' }, 500],
    [{ 'retry-after-ms': '250', 'retry-after': '9' }, 250],
    [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:30 GMT' }, 20_000],
    [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, 0],
    [{ 'retry-after': '-5' }, null],
    [{ 'retry-after': 'soon' }, null],
    [{}, null],
  ])('reads %j', (headers, expected) => {
    expect(readRetryAfter(new Headers(headers as Record<string, string>), 10_000)).toBe(expected);
  });
});

it.each([
  [408, true],
  [409, true],
  [429, true],
  [500, true],
  [503, true],
  [529, true],
  [400, false],
  [401, false],
  [403, false],
  [404, false],
  [422, false],
  [301, false],
])('HTTP %i: tried again %s', (status, again) => {
  expect(isRetryable(toStatusError(status, new Headers(), ''))).toBe(again);
});

it('stops instead of waiting for a day', () => {
  const error = toStatusError(429, new Headers({ 'retry-after': '86400' }), '');
  expect(isRetryable(error)).toBe(false);
  expect(error.message).toContain('86400 s');
});

describe('a budget', () => {
  const price = { currency: 'USD', inputPerMillion: 1, outputPerMillion: 10 };

  it('is never crossed, whatever requests cost up to their ceiling', () => {
    const requests = fc.array(
      fc.record({ bytes: fc.nat(5_000), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    );
    fc.assert(
      fc.property(requests, fc.double({ min: 0.0001, max: 0.05, noNaN: true }), (list, limit) => {
        const budget = createBudget({ price, limit, spent: 0 });
        try {
          for (const { bytes, share } of list) {
            const ceiling = budget.ceiling([{ role: 'user', content: 'x'.repeat(bytes) }], 100);
            budget.reserve(ceiling);
            budget.settle(ceiling, share * (ceiling ?? 0));
          }
        } catch (error) {
          expect(error).toBeInstanceOf(DmoermError);
        }
        expect(budget.spent()).toBeLessThanOrEqual(limit);
      }),
    );
  });

  it('counts what is on its way, what was spent before, and the most where no usage is told', () => {
    const budget = createBudget({ price, limit: 10, spent: 4 });
    budget.reserve(5);
    expect(() => budget.reserve(2)).toThrow(expect.objectContaining({ reason: 'BUDGET_REACHED' }));
    budget.settle(5, 1);
    budget.reserve(2);
    expect(budget.spent()).toBe(5);
    expect(budget.costOf(null, 3)).toBe(3);
    expect(budget.costOf({ promptTokens: 1e6, completionTokens: 1e5 }, 3)).toBe(2);
  });
});

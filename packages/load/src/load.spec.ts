import { DmoermError } from '@dmoerm/core';
import type { ScoredItem, ScoreItem } from '@dmoerm/client';
import { burstsOf, drawArrivals, parseFault, percentiles, runLoad, scoreWork, summarise } from '.';
import type { CallRecord, Outcome, Work } from '.';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fc from 'fast-check';

const OK: Outcome = { code: 'OK', reason: '', wrong: false, degraded: false };
const item = (task: string, ...candidates: string[]): ScoreItem => ({
  prompt: { type: 'text', text: 'why' },
  candidates,
  options: { routing: { type: 'forced', task } },
});

describe('arrivals', () => {
  it('are drawn beforehand: in order, within the time, as many as the rate says, the same for the same seed', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 100 }), (seed, burstsPerS) => {
        const schedule = { seed, burstsPerS, seconds: 100 };
        const draw = () => drawArrivals(schedule, (random) => [random()]);
        const arrivals = draw();
        expect(draw()).toEqual(arrivals);
        const times = arrivals.map(({ atMs }) => atMs);
        expect(times.every((atMs, i) => atMs >= (times[i - 1] ?? 0) && atMs < 100_000)).toBe(true);
        // Six standard deviations of a Poisson number.
        const expected = burstsPerS * 100;
        expect(Math.abs(arrivals.length - expected)).toBeLessThan(6 * Math.sqrt(expected) + 1);
      }),
      { numRuns: 30 },
    );
  });
});

describe('bursts', () => {
  it('divide the candidates of one conversation among the ranks: none lost, none doubled', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 16 }), (n, ranks) => {
        const candidates = Array.from({ length: n }, (_, i) => `${i}`);
        const works = burstsOf([{ id: 'a', item: item('chat', ...candidates) }], { ranks, skew: 0 })(
          () => 0.5,
        );
        expect(works.length).toBeLessThanOrEqual(ranks);
        expect(works.flatMap((work) => work.item.candidates)).toEqual(candidates);
        for (const { firstCandidate, item: own } of works)
          expect(own.candidates[0]).toBe(`${firstCandidate}`);
      }),
    );
  });

  it('skew makes the first task of the file the busiest', () => {
    const items = ['chat', 'qa', 'poem'].map((task) => ({ id: task, item: item(task, 'x') }));
    const drawn = drawArrivals(
      { seed: 1, burstsPerS: 100, seconds: 60 },
      burstsOf(items, { ranks: 1, skew: 2 }),
    );
    const counts = items.map(({ id }) => drawn.filter(({ work }) => work.id === id).length);
    expect((counts[0] ?? 0) / (counts[1] ?? 1)).toBeGreaterThan(3);
    expect((counts[1] ?? 0) / (counts[2] ?? 1)).toBeGreaterThan(1.5);
  });
});

describe('a run', () => {
  it('sends while nothing is answered, and counts the wait of calls that a stall held up', async () => {
    let release: (outcome: Outcome) => void = () => undefined;
    const stall = new Promise<Outcome>((resolve) => (release = resolve));
    let sent = 0;
    const arrivals = Array.from({ length: 20 }, (_, i) => ({ atMs: i, work: i }));
    const { calls } = await runLoad(arrivals, () => {
      sent += 1;
      if (sent === arrivals.length) release(OK);
      return stall;
    });
    expect(sent).toBe(20);
    // The first waited for as long as the last was sent after it.
    expect(calls[0]?.latencyMs).toBeGreaterThanOrEqual(18);
  });

  it('latencies count from the intended time, also when the generator is late', async () => {
    const block = (): Promise<Outcome> => {
      const end = performance.now() + 20;
      while (performance.now() < end);
      return Promise.resolve(OK);
    };
    const { calls } = await runLoad(
      [0, 0, 0].map((atMs) => ({ atMs, work: 0 })),
      block,
    );
    expect(calls[2]?.lateMs).toBeGreaterThanOrEqual(40);
    expect(calls[2]?.latencyMs).toBeGreaterThanOrEqual(40);
  });

  it('does what its events say to the process that they name', async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const exit = once(child, 'exit');
    await runLoad(
      [{ atMs: 30, work: 0 }],
      async () => {
        await exit;
        return OK;
      },
      [parseFault(`0.005:kill:${child.pid}`)],
    );
    expect((await exit)[1]).toBe('SIGKILL');
    expect(() => parseFault('1:explode:3')).toThrow(expect.objectContaining({ reason: 'BAD_FAULT' }));
  });
});

describe('answers against the oracle', () => {
  const work: Work = { id: 'a', firstCandidate: 1, item: item('chat', 'x', '') };
  const scored = (reward: number, degraded = false): ScoredItem => ({
    candidates: [
      {
        type: 'score',
        reward,
        capabilities: [],
        uncertainty: { experts: 0, heads: 0 },
        tokenCount: 1,
        truncated: false,
        degraded,
      },
      {
        type: 'error',
        error: new DmoermError({ code: 'INVALID_ARGUMENT', reason: 'EMPTY_CANDIDATE', message: '' }),
      },
    ],
    route: null,
    revision: 'r',
    timingsNs: { queue: 0, engine: 0, aggregate: 0, total: 0 },
  });
  const ask = (answer: ScoredItem, revision = 'r') =>
    scoreWork({ score: async () => answer }, (id, asked) =>
      id === 'a' && asked === revision ? [9, 0.5, 'EMPTY_CANDIDATE'] : undefined,
    )(work);

  it('right to the bit is right, anything else is wrong; a degraded reward says so itself', async () => {
    expect(await ask(scored(0.5))).toEqual(OK);
    expect(await ask(scored(0.5 + Number.EPSILON))).toMatchObject({ code: 'OK', wrong: true });
    expect(await ask(scored(7, true))).toEqual({ ...OK, degraded: true });
    expect(await ask(scored(0.5), 'another revision')).toMatchObject({ wrong: true });
  });

  it('failures are outcomes', async () => {
    const error = new DmoermError({ code: 'RESOURCE_EXHAUSTED', reason: 'QUEUE_FULL', message: '' });
    expect(await scoreWork({ score: () => Promise.reject(error) })(work)).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'QUEUE_FULL',
    });
  });
});

describe('the summary', () => {
  const call = (outcome: Partial<CallRecord>): CallRecord => ({
    ...OK,
    atMs: 0,
    lateMs: 0,
    latencyMs: 1,
    ...outcome,
  });

  it('counts outcomes; good is answered, right and whole', () => {
    const calls = [
      call({}),
      call({ wrong: true }),
      call({ degraded: true }),
      call({ code: 'UNAVAILABLE', reason: 'DRAINING' }),
    ];
    expect(summarise(calls, 2)).toMatchObject({
      calls: 4,
      good: 1,
      wrong: 1,
      degraded: 1,
      goodputPerS: 0.5,
      outcomes: { OK: { calls: 3 }, 'UNAVAILABLE DRAINING': { calls: 1 } },
    });
  });

  it('percentiles are those of the sorted times, to three digits', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 1e5, noNaN: true }), { minLength: 1 }), (times) => {
        const sorted = [...times].sort((a, b) => a - b);
        const { p50, p99, max } = percentiles(times);
        const near = (got: number, want: number) =>
          expect(Math.abs(got - want)).toBeLessThanOrEqual(want * 2e-3 + 2e-3);
        near(p50, sorted[Math.ceil(sorted.length * 0.5) - 1] ?? NaN);
        near(p99, sorted[Math.ceil(sorted.length * 0.99) - 1] ?? NaN);
        near(max, sorted.at(-1) ?? NaN);
      }),
    );
    expect(percentiles([])).toMatchObject({ p50: 0, max: 0 });
  });
});

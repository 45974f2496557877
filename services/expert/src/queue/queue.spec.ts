import { DmoermError } from '@dmoerm/core';
import { metrics } from '@dmoerm/telemetry';
import fc from 'fast-check';
import { Queue, dueTime } from './queue';
import type { QueueEntry, QueueLimits } from './queue';

interface Entry extends QueueEntry {
  readonly id: number;
  readonly dropped: DmoermError[];
}

const NOW = 1_000_000;

function entry(id: number, over: Partial<QueueEntry> = {}): Entry {
  const dropped: DmoermError[] = [];
  const { deadline = null } = over;
  return {
    id,
    dropped,
    lane: 'a',
    task: 'chat',
    client: 'one',
    priority: 'normal',
    tokens: 10,
    deadline,
    due: dueTime(deadline, NOW),
    signal: new AbortController().signal,
    drop: (error) => void dropped.push(error),
    ...over,
  };
}

const create = (over: Partial<QueueLimits> = {}) =>
  new Queue<Entry>({ maxBatchTokens: 20, maxQueueTokens: 1000, ...over });

function aborted(reason?: unknown): AbortSignal {
  const controller = new AbortController();
  controller.abort(reason);
  return controller.signal;
}

/** A queue that knows its engine: 1 ms for a token. */
function paced(over: Partial<QueueLimits> = {}): Queue<Entry> {
  const queue = create(over);
  queue.push([entry(-1)], NOW);
  queue.take(NOW);
  queue.done(10);
  return queue;
}

const ids = (entries: readonly Entry[]): number[] => entries.map(({ id }) => id);
const refusal = (work: () => void): DmoermError | null => {
  try {
    work();
    return null;
  } catch (error) {
    return DmoermError.from(error);
  }
};
const FULL = { code: 'RESOURCE_EXHAUSTED', reason: 'QUEUE_FULL', retryAfterMs: expect.any(Number) };

describe('the budget of the queue', () => {
  it('takes a call as a whole or not at all', () => {
    const queue = create({ maxQueueTokens: 35 });
    queue.push([entry(1)], NOW);
    expect(refusal(() => queue.push([entry(2), entry(3)], NOW))).toMatchObject(FULL);
    expect(queue.length).toBe(1);
    queue.push([entry(4)], NOW);
    expect(ids(queue.take(NOW))).toEqual([1, 4]);
  });

  it('takes a call that is larger than the budget when nothing else waits', () => {
    const queue = create({ maxQueueTokens: 5 });
    queue.push([entry(1)], NOW);
    expect(refusal(() => queue.push([entry(2)], NOW))).toMatchObject(FULL);
    expect(ids(queue.take(NOW))).toEqual([1]);
  });

  it('leaves room for a client that comes when another has filled its share', () => {
    const queue = create();
    let id = 0;
    while (refusal(() => queue.push([entry(id)], NOW)) === null) id++;
    expect(id).toBe(66);
    expect(refusal(() => queue.push([entry(id, { client: 'two' })], NOW))).toBeNull();
    expect(
      refusal(() => queue.push([entry(id, { client: 'three', priority: 'background' })], NOW)),
    ).toBeNull();
  });

  it('makes room by dropping entries that nobody waits for', () => {
    const queue = create({ maxQueueTokens: 25 });
    queue.push([entry(1, { deadline: NOW + 1 })], NOW);
    queue.push([entry(2)], NOW + 2);
    expect(ids(queue.take(NOW + 2))).toEqual([2]);
  });

  it('tells when there will be room, once it knows its engine', () => {
    const queue = paced({ maxQueueTokens: 900, maxBatchTokens: 20 });
    queue.push([entry(1, { tokens: 600 })], NOW);
    expect(refusal(() => queue.push([entry(2, { tokens: 600 })], NOW))?.retryAfterMs).toBe(1200);
  });
});

describe('admission by deadline', () => {
  it('admits everything before anything is measured, and whatever finds the engine idle', () => {
    const fresh = create();
    fresh.push([entry(1, { tokens: 500 })], NOW);
    fresh.push([entry(2, { deadline: NOW + 1 })], NOW);
    expect(refusal(() => paced().push([entry(1, { deadline: NOW + 1, tokens: 500 })], NOW))).toBeNull();
  });

  it('refuses at once what cannot be done in time, also before its tokens are counted', async () => {
    const queue = paced();
    queue.push([entry(1, { tokens: 400 })], NOW);
    const late = entry(2, { deadline: NOW + 300, due: NOW + 100_000 });
    const before = (await metrics.shed.get()).values.find((v) => v.labels.reason === 'DEADLINE_UNREACHABLE');
    expect(refusal(() => queue.push([late], NOW))).toMatchObject(FULL);
    expect(refusal(() => queue.check([late], NOW))).toMatchObject({ ...FULL, metadata: { left_ms: '300' } });
    const after = (await metrics.shed.get()).values.find((v) => v.labels.reason === 'DEADLINE_UNREACHABLE');
    expect((after?.value ?? 0) - (before?.value ?? 0)).toBe(2);
    expect(refusal(() => queue.push([{ ...late, deadline: NOW + 500 }], NOW))).toBeNull();
  });

  it('counts only what goes first: an earlier deadline, or another client’s share', () => {
    const queue = paced();
    queue.push([entry(1, { tokens: 400, due: NOW + 50_000 })], NOW);
    const urgent = { deadline: NOW + 100, due: NOW + 100 };
    expect(refusal(() => queue.push([entry(2, urgent)], NOW))).toBeNull();
    expect(
      refusal(() => queue.push([entry(3, { ...urgent, client: 'two', due: NOW + 90_000 })], NOW)),
    ).toBeNull();
  });

  it('counts the batch that is running', () => {
    const queue = paced({ maxBatchTokens: 400 });
    queue.push([entry(1, { tokens: 400 })], NOW);
    queue.take(NOW);
    expect(refusal(() => queue.push([entry(2, { deadline: NOW + 300 })], NOW))).toMatchObject(FULL);
    expect(refusal(() => queue.push([entry(2, { deadline: NOW + 500 })], NOW + 200))).toBeNull();
  });
});

describe('what never reaches the engine', () => {
  it.each([
    ['whose client has gone', { signal: aborted() }, 'CANCELLED'],
    ['whose deadline has passed by the clock alone', { deadline: NOW - 1 }, 'DEADLINE_EXCEEDED'],
  ])('an entry %s when it comes', (_, over, code) => {
    expect(refusal(() => create().push([entry(1, over)], NOW))).toMatchObject({ code });
  });

  it('an entry whose deadline passes while it waits', () => {
    const queue = create();
    const late = entry(1, { deadline: NOW + 10 });
    queue.push([late, entry(2)], NOW);
    expect(ids(queue.take(NOW + 10))).toEqual([2]);
    expect(late.dropped).toEqual([expect.objectContaining({ code: 'DEADLINE_EXCEEDED' })]);
  });

  it('an entry that is withdrawn, and its place is free at once', () => {
    const queue = create({ maxQueueTokens: 10 });
    const gone = entry(1);
    const error = new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'gone' });
    queue.push([gone], NOW);
    queue.withdraw([gone], error);
    queue.withdraw([gone], error);
    expect(gone.dropped).toEqual([error]);
    expect(refusal(() => queue.push([entry(2)], NOW))).toBeNull();
  });

  it('an entry that the next batch would answer too late, unless nothing else can be done', () => {
    const queue = paced({ maxBatchTokens: 100 });
    const hopeless = entry(1, { tokens: 50, deadline: NOW + 60 });
    queue.push([hopeless], NOW);
    queue.push([entry(2, { tokens: 50, deadline: NOW + 1000 })], NOW);
    expect(ids(queue.take(NOW))).toEqual([2]);
    expect(hopeless.dropped).toEqual([expect.objectContaining({ reason: 'DEADLINE_UNREACHABLE' })]);
    queue.done(50);
    queue.push([entry(3, { deadline: NOW + 5 }), entry(4, { deadline: NOW + 6 })], NOW);
    expect(ids(queue.take(NOW))).toEqual([4]);
  });
});

it('takes, drops or refuses each entry once, within its budgets, whatever happens', () => {
  const calls = fc.array(
    fc.record({
      items: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 }),
      client: fc.constantFrom('one', 'two'),
      lane: fc.constantFrom('a', 'b'),
      patience: fc.option(fc.integer({ min: 1, max: 200 }), { nil: null }),
      then: fc.constantFrom('nothing', 'take', 'withdraw'),
    }),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(calls, fc.integer({ min: 1, max: 60 }), (all, maxBatchTokens) => {
      const queue = create({ maxBatchTokens, maxQueueTokens: 100 });
      const entries: Entry[] = [];
      const [taken, refused]: Entry[][] = [[], []];
      let now = NOW;
      const take = (): void => {
        const batch = queue.take(now);
        const tokens = batch.reduce((sum, one) => sum + one.tokens, 0);
        if (batch.length > 1) expect(tokens).toBeLessThanOrEqual(maxBatchTokens);
        for (const { deadline } of batch) expect(deadline ?? Infinity).toBeGreaterThan(now);
        taken?.push(...batch);
        now += tokens;
        queue.done(tokens);
      };
      for (const { items, client, lane, patience, then } of all) {
        const deadline = patience === null ? null : now + patience;
        const own = items.map((tokens, i) => entry(entries.length + i, { tokens, client, lane, deadline }));
        entries.push(...own);
        if (refusal(() => queue.push(own, now)) !== null) refused?.push(...own);
        if (then === 'take') take();
        if (then === 'withdraw')
          queue.withdraw(own, new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: '' }));
      }
      while (queue.length > 0) take();
      const dropped = entries.filter((one) => one.dropped.length > 0);
      expect(dropped.every((one) => one.dropped.length === 1)).toBe(true);
      const found = ids([...(taken ?? []), ...dropped, ...(refused ?? [])]);
      expect(found.sort((a, b) => a - b)).toEqual(ids(entries));
    }),
  );
});

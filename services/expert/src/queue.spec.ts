import type { DmoermError } from '@dmoerm/core';
import fc from 'fast-check';
import { Queue } from './queue';
import type { QueueEntry } from './queue';

interface Entry extends QueueEntry {
  readonly id: number;
  readonly dropped: DmoermError[];
}

function entry(id: number, over: Partial<QueueEntry> = {}): Entry {
  const dropped: DmoermError[] = [];
  const signal = new AbortController().signal;
  const drop = (error: DmoermError): void => void dropped.push(error);
  return { id, dropped, lane: 'a', task: 'chat', tokens: 10, deadline: null, signal, drop, ...over };
}

function aborted(reason?: unknown): AbortSignal {
  const controller = new AbortController();
  controller.abort(reason);
  return controller.signal;
}

const ids = (entries: readonly Entry[]): number[] => entries.map(({ id }) => id);

describe('Queue', () => {
  it('gives entries back in the order of arrival', () => {
    const queue = new Queue<Entry>(100);
    queue.push([entry(1), entry(2)]);
    queue.push([entry(3)]);
    expect(ids(queue.take(20))).toEqual([1, 2]);
    expect(ids(queue.take(20))).toEqual([3]);
    expect(queue.take(20)).toEqual([]);
  });

  it('takes a call as a whole or not at all', () => {
    const queue = new Queue<Entry>(25);
    queue.push([entry(1)]);
    expect(() => queue.push([entry(2), entry(3)])).toThrow(
      expect.objectContaining({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'QUEUE_FULL',
        retryAfterMs: expect.any(Number),
      }),
    );
    expect(queue.length).toBe(1);
    queue.push([entry(4)]);
    expect(ids(queue.take(100))).toEqual([1, 4]);
  });

  it('takes a call that is larger than the queue when nothing else waits', () => {
    const queue = new Queue<Entry>(5);
    queue.push([entry(1)]);
    expect(() => queue.push([entry(2)])).toThrow(expect.objectContaining({ reason: 'QUEUE_FULL' }));
    expect(ids(queue.take(5))).toEqual([1]);
  });

  it.each([
    ['whose client has gone', { signal: aborted() }, 'CANCELLED'],
    ['whose deadline has passed by the clock alone', { deadline: Date.now() - 1 }, 'DEADLINE_EXCEEDED'],
  ])('drops an entry %s', (_, over, code) => {
    const queue = new Queue<Entry>(100);
    const gone = entry(1, over);
    queue.push([gone, entry(2)]);
    expect(ids(queue.take(100))).toEqual([2]);
    expect(gone.dropped).toEqual([expect.objectContaining({ code })]);
  });

  it('keeps an entry whose deadline is still to come', () => {
    const queue = new Queue<Entry>(100);
    queue.push([entry(1, { deadline: Date.now() + 60_000 })]);
    expect(ids(queue.take(100))).toEqual([1]);
  });

  it('makes room by dropping entries that nobody waits for', () => {
    const queue = new Queue<Entry>(15);
    queue.push([entry(1, { signal: aborted() })]);
    queue.push([entry(2)]);
    expect(ids(queue.take(100))).toEqual([2]);
  });

  it('never loses an entry: each is taken once, dropped once, or refused', () => {
    const calls = fc.array(
      fc.array(
        fc.record({
          tokens: fc.integer({ min: 1, max: 30 }),
          gone: fc.boolean(),
          lane: fc.constantFrom('a', 'b'),
        }),
        {
          maxLength: 5,
        },
      ),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(calls, fc.integer({ min: 1, max: 60 }), (pushes, budget) => {
        const queue = new Queue<Entry>(100);
        const all: Entry[] = [];
        const taken: Entry[] = [];
        const refused: Entry[] = [];
        for (const push of pushes) {
          const entries = push.map(({ tokens, gone, lane }, i) =>
            entry(all.length + i, { tokens, lane, ...(gone && { signal: aborted() }) }),
          );
          all.push(...entries);
          try {
            queue.push(entries);
          } catch {
            refused.push(...entries);
          }
          if (all.length % 3 === 0) taken.push(...queue.take(budget));
        }
        while (queue.length > 0) taken.push(...queue.take(budget));
        const dropped = all.filter((one) => one.dropped.length > 0);
        expect(dropped.every((one) => one.dropped.length === 1)).toBe(true);
        expect(ids([...taken, ...dropped, ...refused]).sort((a, b) => a - b)).toEqual(ids(all));
      }),
    );
  });
});

import fc from 'fast-check';
import { takeBatch } from './batcher';

interface Entry {
  readonly id: number;
  readonly lane: string;
  readonly tokens: number;
}

const queues = fc
  .array(fc.record({ lane: fc.constantFrom('a', 'b', 'c'), tokens: fc.integer({ min: 0, max: 50 }) }), {
    maxLength: 40,
  })
  .map((entries) => entries.map((entry, id): Entry => ({ id, ...entry })));
const budgets = fc.integer({ min: 1, max: 120 });
const total = (entries: readonly Entry[]): number => entries.reduce((sum, { tokens }) => sum + tokens, 0);

function drain(queue: readonly Entry[], budget: number): (readonly Entry[])[] {
  const batches: (readonly Entry[])[] = [];
  let waiting = queue;
  while (waiting.length > 0) {
    const { batch, rest } = takeBatch(waiting, budget);
    batches.push(batch);
    waiting = rest;
  }
  return batches;
}

describe('takeBatch', () => {
  it('never exceeds the budget except for one entry alone', () => {
    fc.assert(
      fc.property(queues, budgets, (queue, budget) => {
        for (const batch of drain(queue, budget))
          if (batch.length > 1) expect(total(batch)).toBeLessThanOrEqual(budget);
      }),
    );
  });

  it('never loses and never repeats an entry', () => {
    fc.assert(
      fc.property(queues, budgets, (queue, budget) => {
        const ids = drain(queue, budget).flatMap((batch) => batch.map(({ id }) => id));
        expect(ids.sort((a, b) => a - b)).toEqual(queue.map(({ id }) => id));
      }),
    );
  });

  it('never mixes lanes', () => {
    fc.assert(
      fc.property(queues, budgets, (queue, budget) => {
        for (const batch of drain(queue, budget)) expect(new Set(batch.map(({ lane }) => lane)).size).toBe(1);
      }),
    );
  });

  it('lets nobody overtake within a lane and always serves the longest waiting entry', () => {
    fc.assert(
      fc.property(queues, budgets, (queue, budget) => {
        const batches = drain(queue, budget);
        for (const lane of ['a', 'b', 'c']) {
          const ids = batches.flatMap((batch) => batch.filter((e) => e.lane === lane).map(({ id }) => id));
          expect(ids).toEqual([...ids].sort((a, b) => a - b));
        }
        if (queue[0] !== undefined) expect(batches[0]?.[0]?.id).toBe(queue[0].id);
      }),
    );
  });

  it('fills a batch past entries of other lanes', () => {
    const queue = [
      { id: 0, lane: 'a', tokens: 5 },
      { id: 1, lane: 'b', tokens: 5 },
      { id: 2, lane: 'a', tokens: 5 },
    ];
    expect(takeBatch(queue, 10).batch.map(({ id }) => id)).toEqual([0, 2]);
  });

  it('gives an entry over the budget a batch of its own', () => {
    const queue = [
      { id: 0, lane: 'a', tokens: 99 },
      { id: 1, lane: 'a', tokens: 1 },
    ];
    expect(takeBatch(queue, 10)).toEqual({ batch: [queue[0]], rest: [queue[1]] });
  });
});

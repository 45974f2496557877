import fc from 'fast-check';
import { FairLine } from './fair-line';
import type { Priority, Waiting } from './flow';

interface Entry extends Waiting {
  readonly id: number;
}

function entry(id: number, over: Partial<Waiting> = {}): Entry {
  return { id, lane: 'a', client: 'one', priority: 'normal', due: 1000, tokens: 10, ...over };
}

const ids = (entries: Iterable<Entry>): number[] => Array.from(entries, ({ id }) => id);
const total = (entries: readonly Entry[]): number => entries.reduce((sum, { tokens }) => sum + tokens, 0);

function lineOf(entries: readonly Entry[]): FairLine<Entry> {
  const line = new FairLine<Entry>();
  for (const one of entries) line.add(one);
  return line;
}

function drain(line: FairLine<Entry>, budget: number): Entry[][] {
  const batches: Entry[][] = [];
  while (line.length > 0) batches.push(line.take(budget));
  return batches;
}

const entries = fc
  .array(
    fc.record({
      lane: fc.constantFrom('a', 'b'),
      client: fc.constantFrom('one', 'two', 'three'),
      priority: fc.constantFrom<Priority>('normal', 'background'),
      due: fc.integer({ min: 0, max: 20 }),
      tokens: fc.integer({ min: 1, max: 50 }),
    }),
    { maxLength: 40 },
  )
  .map((all) => all.map((one, id): Entry => ({ id, ...one })));
const budgets = fc.integer({ min: 1, max: 120 });

describe('FairLine', () => {
  it('never loses and never repeats an entry, whatever comes, leaves and is taken', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ type: fc.constant('take' as const), budget: budgets }),
        fc.record({ type: fc.constant('remove' as const), index: fc.nat(39) }),
        fc.record({ type: fc.constant('add' as const) }),
      ),
      { maxLength: 80 },
    );
    fc.assert(
      fc.property(entries, steps, (all, then) => {
        const line = new FairLine<Entry>();
        const waiting = new Set<Entry>();
        let next = 0;
        for (const step of then) {
          if (step.type === 'add' && next < all.length) {
            const one = all[next++] as Entry;
            line.add(one);
            waiting.add(one);
          } else if (step.type === 'remove' && all[step.index] !== undefined) {
            const one = all[step.index] as Entry;
            expect(line.remove(one)).toBe(waiting.delete(one));
          } else if (step.type === 'take') {
            for (const one of line.take(step.budget)) expect(waiting.delete(one)).toBe(true);
          }
          expect(new Set(line)).toEqual(waiting);
          expect([line.length, line.tokens]).toEqual([waiting.size, total([...waiting])]);
        }
        const left = drain(line, 50).flat();
        expect(new Set(left)).toEqual(waiting);
        expect(left).toHaveLength(waiting.size);
      }),
    );
  });

  it('never mixes lanes, and exceeds the budget for one entry alone only', () => {
    fc.assert(
      fc.property(entries, budgets, (all, budget) => {
        for (const batch of drain(lineOf(all), budget)) {
          expect(new Set(batch.map(({ lane }) => lane)).size).toBe(1);
          if (batch.length > 1) expect(total(batch)).toBeLessThanOrEqual(budget);
        }
      }),
    );
  });

  it('takes the earliest due of a client, priority and lane first, in the order of arrival among equals', () => {
    fc.assert(
      fc.property(entries, budgets, (all, budget) => {
        const groups = new Map<string, Entry[]>();
        for (const one of drain(lineOf(all), budget).flat()) {
          const key = [one.client, one.priority, one.lane].join();
          groups.set(key, [...(groups.get(key) ?? []), one]);
        }
        for (const served of groups.values())
          expect(served).toEqual([...served].sort((a, b) => a.due - b.due || a.id - b.id));
      }),
    );
  });

  it('shares by weight while all want more: no flow falls behind by more than its and the longest entry', () => {
    const clients = fc.array(
      fc.record({
        priority: fc.constantFrom<Priority>('normal', 'background'),
        tokens: fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 30, maxLength: 30 }),
      }),
      { minLength: 2, maxLength: 5 },
    );
    fc.assert(
      fc.property(clients, (flows) => {
        const weight = { normal: 8, background: 1 };
        const line = new FairLine<Entry>();
        flows.forEach(({ priority, tokens }, f) =>
          tokens.forEach((own, i) =>
            line.add(entry(f * 100 + i, { client: `${f}`, priority, tokens: own, due: i })),
          ),
        );
        const served = flows.map(() => 0);
        const left = flows.map(({ tokens }) => tokens.length);
        while (left.every((count) => count > 0)) {
          const [one] = line.take(1) as [Entry];
          const f = Number(one.client);
          served[f] = (served[f] ?? 0) + one.tokens / weight[one.priority];
          left[f] = (left[f] ?? 0) - 1;
          expect(Math.max(...served) - Math.min(...served)).toBeLessThanOrEqual(2 * 50);
        }
      }),
    );
  });

  it('lets nobody who was away catch up on the others', () => {
    const line = new FairLine<Entry>();
    for (let id = 0; id < 10; id++) line.add(entry(id, { client: 'busy' }));
    for (let id = 0; id < 5; id++) line.take(10);
    for (let id = 10; id < 20; id++) line.add(entry(id, { client: 'new' }));
    const next = Array.from({ length: 6 }, () => line.take(10)[0]?.client);
    expect(next.filter((client) => client === 'new')).toHaveLength(3);
  });

  it('serves background work beside a stream of normal work that never ends', () => {
    const line = new FairLine<Entry>();
    line.add(entry(0, { client: 'patient', priority: 'background', due: 1e9 }));
    let turns = 0;
    for (let id = 1; line.length > 0 && turns < 100; id++, turns++) {
      line.add(entry(id));
      line.add(entry(1000 + id));
      if (line.take(10)[0]?.id === 0) break;
    }
    expect(turns).toBeLessThan(20);
  });

  it('tells what goes before an entry that comes now', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ client: fc.constantFrom('one', 'two'), due: fc.integer({ min: 0, max: 9 }) }), {
          maxLength: 30,
        }),
        (all) => {
          const line = lineOf(all.map((one, id) => entry(id, { ...one, tokens: 1 })));
          const like = { client: 'one', priority: 'normal', due: 5 } as const;
          const told = line.ahead(like, 1);
          line.add(entry(99, { ...like, tokens: 1 }));
          const before = drain(line, 1)
            .flat()
            .findIndex(({ id }) => id === 99);
          expect(Math.abs(told - before)).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  it('fills a batch past entries of other lanes, and gives an entry over the budget one of its own', () => {
    const one = [entry(0, { tokens: 5 }), entry(1, { lane: 'b', tokens: 5 }), entry(2, { tokens: 5 })];
    expect(drain(lineOf(one), 10).map(ids)).toEqual([[0, 2], [1]]);
    expect(drain(lineOf([entry(0, { tokens: 99 }), entry(1, { tokens: 1 })]), 10).map(ids)).toEqual([
      [0],
      [1],
    ]);
  });
});

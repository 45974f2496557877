import fc from 'fast-check';
import { Picker } from './picker';

const NONE: ReadonlySet<never> = new Set();

describe('Picker', () => {
  const workers = (...outstanding: number[]) => outstanding.map((work) => ({ outstanding: work }));
  const of = <W extends { outstanding: number }>(all: readonly W[]): Picker<W> => {
    const picker = new Picker<W>();
    for (const one of all) picker.add(one);
    return picker;
  };

  it('never picks one that was tried or is ejected while another is there, and of the rest one with the least work', () => {
    const state = fc.record({ outstanding: fc.nat(5), tried: fc.boolean(), ejected: fc.boolean() });
    fc.assert(
      fc.property(fc.array(state, { maxLength: 6 }), (all) => {
        const picker = of(all);
        for (const one of all) if (one.ejected) picker.failed(one, 'unreachable');
        const picked = picker.pick(new Set(all.filter(({ tried }) => tried)));
        const open = all.filter(({ tried }) => !tried);
        const well = open.filter(({ ejected }) => !ejected);
        const from = well.length > 0 ? well : open;
        if (from.length === 0) return expect(picked).toBeNull();
        expect(from).toContain(picked);
        expect(picked?.outstanding).toBe(Math.min(...from.map(({ outstanding }) => outstanding)));
      }),
    );
  });

  it('takes turns among equals', () => {
    const picker = of(workers(0, 0, 0));
    const picked = Array.from({ length: 9 }, () => picker.pick(NONE));
    for (const one of picker.workers) expect(picked.filter((other) => other === one)).toHaveLength(3);
  });

  it('ejects at once what cannot be reached, and for INTERNAL only a row of them', () => {
    const [one] = workers(0);
    const picker = of(one ? [one] : []);
    if (!one) throw new Error('none');
    expect([picker.failed(one, 'internal'), picker.failed(one, 'internal')]).toEqual([null, null]);
    picker.succeeded(one);
    expect([picker.failed(one, 'internal'), picker.failed(one, 'internal')]).toEqual([null, null]);
    expect(picker.failed(one, 'internal')).not.toBeNull();
    picker.succeeded(one);
    expect(picker.isEjected(one)).toBe(false);
    expect(picker.failed(one, 'unreachable')).not.toBeNull();
  });

  it('looks for the ejected later each time, never later than half a second, and sooner again after an answer', () => {
    const [one] = workers(0);
    if (!one) throw new Error('none');
    const picker = of([one]);
    const first = picker.failed(one, 'unreachable');
    const waits = Array.from({ length: 20 }, () => picker.stillGone(one));
    expect(waits.every((wait, i) => wait >= (waits[i - 1] ?? first ?? 0))).toBe(true);
    expect(waits.at(-1)).toBe(500);
    picker.succeeded(one);
    expect(picker.failed(one, 'unreachable')).toBe(first);
  });

  it('knows since when all have been away, and wakes who waits when one is back', async () => {
    const [one, two] = workers(0, 0);
    if (!one || !two) throw new Error('none');
    const picker = of([one, two]);
    picker.failed(one, 'unreachable');
    expect(picker.allAwaySince).toBeNull();
    picker.failed(two, 'unreachable');
    expect(picker.allAwaySince).not.toBeNull();
    const waited = picker.whenBack(60_000, new AbortController().signal);
    picker.succeeded(two);
    await waited;
    expect(picker.allAwaySince).toBeNull();
    await picker.whenBack(60_000, AbortSignal.abort());
  });
});

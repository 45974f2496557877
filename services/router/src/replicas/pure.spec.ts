import fc from 'fast-check';
import { Hedging } from './hedging';
import { Picker } from './picker';
import { parseTarget, resolveTarget } from './target';

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

  it('looks for the ejected later each time, never later than two seconds, and sooner again after an answer', () => {
    const [one] = workers(0);
    if (!one) throw new Error('none');
    const picker = of([one]);
    const first = picker.failed(one, 'unreachable');
    const waits = Array.from({ length: 20 }, () => picker.stillGone(one));
    expect(waits.every((wait, i) => wait >= (waits[i - 1] ?? first ?? 0))).toBe(true);
    expect(waits.at(-1)).toBe(2000);
    picker.succeeded(one);
    expect(picker.failed(one, 'unreachable')).toBe(first);
  });
});

describe('Hedging', () => {
  it('never spends more than its share of the calls, however they come', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 100, maxLength: 2000 }),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        (steps, share) => {
          const hedging = new Hedging(share);
          let calls = 0;
          let hedges = 0;
          for (const isCall of steps)
            if (isCall) {
              hedging.called();
              calls += 1;
            } else if (hedging.take()) hedges += 1;
          expect(hedges).toBeLessThanOrEqual(calls * share + 1e-6);
        },
      ),
    );
  });

  it('spends all of its share when every call is late', () => {
    const hedging = new Hedging(0.05);
    let hedges = 0;
    for (let i = 0; i < 1000; i++) {
      hedging.called();
      if (hedging.take()) hedges += 1;
    }
    expect(hedges).toBe(50);
  });

  it('knows the 95th percentile of the last answers, and nothing before there are enough', () => {
    const hedging = new Hedging(0.05);
    for (let i = 0; i < 20; i++) hedging.answered(1);
    expect(hedging.delayMs).toBeNull();
    for (let round = 0; round < 4; round++) for (let ms = 1; ms <= 100; ms++) hedging.answered(ms);
    expect(Math.abs((hedging.delayMs ?? 0) - 95)).toBeLessThanOrEqual(2);
    expect(new Hedging(0).delayMs).toBeNull();
  });
});

describe('targets', () => {
  it.each([
    ['127.0.0.1:50051', { type: 'name', host: '127.0.0.1', port: '50051' }],
    ['dns:///experts.svc:50051', { type: 'name', host: 'experts.svc', port: '50051' }],
    ['dns://1.1.1.1/experts:1', { type: 'name', host: 'experts', port: '1' }],
    ['ipv4:127.0.0.1:1,127.0.0.1:2', { type: 'fixed', addresses: ['127.0.0.1:1', '127.0.0.1:2'] }],
  ])('%s', (text, target) => {
    expect(parseTarget(text)).toEqual(target);
  });

  it.each(['', 'host', 'host:', 'a:1,b:2', 'ipv4:a,b:1', 'unix:/tmp/x'])('refuses "%s"', (text) => {
    expect(() => parseTarget(text)).toThrow(expect.objectContaining({ reason: 'BAD_TARGET' }));
  });

  it('a name is all of its addresses', async () => {
    const found = await resolveTarget(parseTarget('experts:7'), async () => ['10.0.0.1', 'fd00::1']);
    expect(found).toEqual(['10.0.0.1:7', '[fd00::1]:7']);
  });
});

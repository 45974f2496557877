import fc from 'fast-check';
import { chunk } from './chunk';

const LIMITS = { maxCandidates: 10, maxBytes: 100 };

describe('chunk', () => {
  it('keeps all items in order, and each chunk within the limits unless it is one item', () => {
    const items = fc.array(
      fc.record({ candidateCount: fc.integer({ min: 1, max: 15 }), bytes: fc.integer({ min: 0, max: 150 }) }),
    );
    fc.assert(
      fc.property(items, (all) => {
        const chunks = chunk(all, LIMITS);
        expect(chunks.flat()).toEqual(all);
        for (const own of chunks.filter(({ length }) => length > 1)) {
          expect(own.reduce((sum, one) => sum + one.candidateCount, 0)).toBeLessThanOrEqual(
            LIMITS.maxCandidates,
          );
          expect(own.reduce((sum, one) => sum + one.bytes, 0)).toBeLessThanOrEqual(LIMITS.maxBytes);
        }
      }),
    );
  });

  it('fills a chunk before it starts the next', () => {
    const item = { candidateCount: 4, bytes: 1 };
    expect(chunk([item, item, item, item, item], LIMITS).map(({ length }) => length)).toEqual([2, 2, 1]);
  });
});

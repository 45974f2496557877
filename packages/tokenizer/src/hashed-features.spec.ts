import * as fc from 'fast-check';
import { hashedFeatures, type FeatureBlock, type FeatureSpec } from './hashed-features';

const ALL = { from: 'all', words: 0 } as const;
const spec: FeatureSpec = {
  buckets: 4096,
  blocks: [
    { kind: 'words', range: ALL, ngrams: [1, 2], weight: 1 },
    { kind: 'word_characters', range: ALL, ngrams: [2, 3], weight: 1 },
    { kind: 'raw_characters', ngrams: [2, 3], weight: 1 },
    { kind: 'characters', range: { from: 'start', words: 3 }, ngrams: [3, 3], weight: 1 },
    { kind: 'opening', words: 2, weight: 1 },
    { kind: 'shape', weight: 1 },
  ],
};

function bucketsOf(text: string, block: FeatureBlock): number[] {
  return [...hashedFeatures(text, { buckets: 2 ** 20, blocks: [block] }).indices];
}

describe('hashedFeatures', () => {
  it('gives sorted buckets per block, finite positive values, and the same again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const { indices, values, blocks } = hashedFeatures(text, spec);
        expect(values.length).toBe(indices.length);
        expect(blocks.length).toBe(indices.length);
        indices.forEach((bucket, e) => {
          expect(bucket).toBeGreaterThanOrEqual(0);
          expect(bucket).toBeLessThan(spec.buckets);
          if (blocks[e] === blocks[e - 1]) expect(bucket).toBeGreaterThan(indices[e - 1] ?? -1);
          else expect(blocks[e]).toBeGreaterThan(blocks[e - 1] ?? -1);
          expect(values[e]).toBeGreaterThanOrEqual(1);
          expect(values[e]).toBeLessThan(20);
        });
        expect(hashedFeatures(text, spec)).toEqual({ indices, values, blocks });
      }),
    );
  });

  it('counts words and pairs: 1 + ln(count)', () => {
    const words = { kind: 'words', range: ALL, ngrams: [1, 2], weight: 1 } as const;
    const { values } = hashedFeatures('to be or not to be', { buckets: 2 ** 20, blocks: [words] });
    // to, be, or, not; "to be", "be or", "or not", "not to". Three occur twice.
    const sorted = [...values].sort();
    expect(sorted).toHaveLength(8);
    expect(sorted.slice(0, 5)).toEqual([1, 1, 1, 1, 1]);
    expect(sorted[7]).toBeCloseTo(1 + Math.log(2), 6);
  });

  it('of a range of words ignores the others', () => {
    const start = { kind: 'words', range: { from: 'start', words: 2 }, ngrams: [1, 1], weight: 1 } as const;
    const end = { kind: 'words', range: { from: 'end', words: 2 }, ngrams: [1, 1], weight: 1 } as const;
    const last = {
      kind: 'words',
      range: { from: 'last_line', words: 9 },
      ngrams: [1, 1],
      weight: 1,
    } as const;
    expect(bucketsOf('Write code now', start)).toEqual(bucketsOf('write CODE later, please', start));
    expect(bucketsOf('one two three', end)).toEqual(bucketsOf('zero two three', end));
    expect(bucketsOf('a long text\nsum it up\n\n', last)).toEqual(bucketsOf('sum it up', last));
    expect(bucketsOf('one two', start)).not.toEqual(bucketsOf('one three', start));
  });

  it('reads compatible forms alike and typed characters as they are', () => {
    const words = { kind: 'words', range: ALL, ngrams: [1, 1], weight: 1 } as const;
    const raw = { kind: 'raw_characters', ngrams: [2, 2], weight: 1 } as const;
    expect(bucketsOf('\uFB01ne', words)).toEqual(bucketsOf('fine', words));
    expect(bucketsOf('If', raw)).not.toEqual(bucketsOf('if', raw));
  });

  it('stays bounded on a very long text', () => {
    const long = Array.from({ length: 200_000 }, (_, i) => `word${i}`).join(' ');
    expect(hashedFeatures(long, spec).indices.length).toBeLessThan(60_000);
  });
});

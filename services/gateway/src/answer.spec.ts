import fc from 'fast-check';
import { toFloatJson, toJson } from './answer';

describe.each([
  ['toJson', toJson],
  ['toFloatJson', toFloatJson],
])('%s', (_, write) => {
  it.each([NaN, Infinity, -Infinity])('does not let %d out, wherever it stands', (value) => {
    for (const body of [value, [1, value], { rewards: [{ reward: value }] }])
      expect(() => write(body)).toThrow(expect.objectContaining({ reason: 'NON_FINITE' }));
    // The control: this is what would have come.
    expect(JSON.stringify([value])).toBe('[null]');
  });

  it('reads back to the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        // `JSON.stringify` writes -0 as 0: text in, so that neither has one.
        const plain = JSON.parse(JSON.stringify(value)) as unknown;
        expect(JSON.parse(write(plain))).toEqual(plain);
      }),
    );
  });
});

describe('toFloatJson', () => {
  it.each([
    [0, '0.0'],
    [-0, '-0.0'],
    [-3, '-3.0'],
    [0.1, '0.1'],
    [1e21, '1e+21'],
    [5e-324, '5e-324'],
  ])('%d is %s, which no reader takes for an integer', (value, text) => {
    expect(toFloatJson({ a: [value] })).toBe(`{"a":[${text}]}`);
  });
});

import fc from 'fast-check';

/** Changes of a file that a broken disk or a hostile hand could make: flipped bits, huge numbers, cuts, repeats. */
export function mutations(bytes: Buffer, headerLength: number): fc.Arbitrary<Buffer> {
  const at = fc.integer({ min: 0, max: headerLength - 1 });
  const flip = fc.tuple(at, fc.integer({ min: 0, max: 7 })).map(([position, bit]) => (copy: Buffer) => {
    copy[position] = (copy[position] ?? 0) ^ (1 << bit);
    return copy;
  });
  const huge = fc
    .tuple(at, fc.constantFrom(2n ** 63n, 2n ** 64n - 1n, 2n ** 53n, 2n ** 32n, 2n ** 31n - 1n, 0n, 1n))
    .map(([position, value]) => (copy: Buffer) => {
      copy.writeBigUInt64LE(value, Math.min(position, copy.length - 8));
      return copy;
    });
  const cut = at.map((position) => (copy: Buffer) => copy.subarray(0, Math.max(position, 8)));
  const move = fc.tuple(at, at).map(([from, to]) => (copy: Buffer) => {
    copy.copy(copy, to, from, Math.min(from + 24, copy.length));
    return copy;
  });
  return fc.oneof(
    fc
      .array(fc.oneof(flip, huge, move), { minLength: 1, maxLength: 3 })
      .map((changes) => changes.reduce<Buffer>((copy, change) => change(copy), Buffer.from(bytes))),
    cut.map((change) => change(Buffer.from(bytes))),
  );
}

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { DmoermError } from '@dmoerm/core';
import { readGguf } from './gguf';
import { failure, goldenBase, Scratch } from './spec-support/files';
import { ggufFile, write } from './spec-support/gguf-bytes';
import { mutations } from './spec-support/mutate';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const F32 = 0;
const tensor = (name: string, sizes: readonly bigint[], offset = 0n, type = F32) =>
  write.tensor({ name, sizes, type, offset });
const array = (type: number, count: bigint, ...values: Buffer[]) =>
  Buffer.concat([write.u32(type), write.u64(count), ...values]);
const read = (parts: Parameters<typeof ggufFile>[0]) => readGguf(scratch.write(ggufFile(parts)));

describe('readGguf', () => {
  it('reads every kind of value', async () => {
    const bytes = (...values: number[]) => Buffer.from(values);
    const { metadata } = await read({
      pairs: [
        write.pair('u8', 0, bytes(255)),
        write.pair('i8', 1, bytes(255)),
        write.pair('u16', 2, bytes(1, 2)),
        write.pair('i16', 3, bytes(0, 128)),
        write.pair('u32', 4, write.u32(2 ** 32 - 1)),
        write.pair('i32', 5, bytes(255, 255, 255, 255)),
        write.pair('f32', 6, bytes(0, 0, 128, 63)),
        write.pair('yes', 7, bytes(1)),
        write.pair('text', 8, write.string('é')),
        write.pair('list', 9, array(8, 2n, write.string('a'), write.string(''))),
        write.pair('u64', 10, write.u64(5n)),
        write.pair('large', 10, write.u64(2n ** 64n - 1n)),
        write.pair('i64', 11, write.u64(2n ** 64n - 1n)),
        write.pair('f64', 12, bytes(0, 0, 0, 0, 0, 0, 240, 63)),
      ],
    });
    expect(Object.fromEntries(metadata)).toEqual({
      u8: 255,
      i8: -1,
      u16: 513,
      i16: -32768,
      u32: 4294967295,
      i32: -1,
      f32: 1,
      yes: true,
      text: 'é',
      list: ['a', ''],
      u64: 5,
      large: 2n ** 64n - 1n,
      i64: -1,
      f64: 1,
    });
  });

  it('gives shapes outermost first and offsets within the file', async () => {
    const { tensors } = await read({ tensors: [tensor('a', [3n, 2n]), tensor('b', [4n], 32n)], data: 48 });
    expect(tensors.get('a')).toMatchObject({ shape: [2, 3], bytes: 24 });
    expect((tensors.get('b')?.offset ?? 0) - (tensors.get('a')?.offset ?? 0)).toBe(32);
  });

  const huge = 2n ** 63n;
  it.each<[string, Parameters<typeof ggufFile>[0], string]>([
    ['2^63 tensors', { tensorCount: huge }, 'BAD_COUNT'],
    ['2^63 keys', { keyCount: huge }, 'BAD_COUNT'],
    [
      'more keys than the file has room for',
      { keyCount: 40n, pairs: [write.pair('a', 0, Buffer.from([1]))] },
      'BAD_COUNT',
    ],
    ['a string of 2^63 bytes', { keyCount: 1n, pairs: [write.u64(huge), Buffer.alloc(64)] }, 'BAD_COUNT'],
    ['a list of 2^63 bytes', { pairs: [write.pair('a', 9, array(0, huge))] }, 'BAD_COUNT'],
    ['a list of 2^63 strings', { pairs: [write.pair('a', 9, array(8, huge))] }, 'BAD_COUNT'],
    ['lists of lists', { pairs: [write.pair('a', 9, array(9, 1n, array(0, 0n)))] }, 'NESTED_ARRAY'],
    ['an unknown kind of value', { pairs: [write.pair('a', 13, Buffer.alloc(8))] }, 'BAD_VALUE_TYPE'],
    [
      'an unknown kind of list',
      { pairs: [write.pair('a', 9, array(200, 1n, Buffer.alloc(8)))] },
      'BAD_VALUE_TYPE',
    ],
    [
      'a key twice',
      { pairs: [write.pair('a', 0, Buffer.from([1])), write.pair('a', 0, Buffer.from([1]))] },
      'DUPLICATE_KEY',
    ],
    ['an alignment of 0', { pairs: [write.pair('general.alignment', 4, write.u32(0))] }, 'BAD_ALIGNMENT'],
    ['an alignment of 24', { pairs: [write.pair('general.alignment', 4, write.u32(24))] }, 'BAD_ALIGNMENT'],
    [
      'a tensor of 5 dimensions',
      { tensors: [tensor('a', [1n, 1n, 1n, 1n, 1n])], data: 4 },
      'BAD_TENSOR_SHAPE',
    ],
    ['a tensor of 2^63 rows', { tensors: [tensor('a', [1n, huge])], data: 4 }, 'BAD_TENSOR_SHAPE'],
    [
      'sizes whose product overflows',
      { tensors: [tensor('a', [2n ** 40n, 2n ** 40n])], data: 4 },
      'BAD_TENSOR_SHAPE',
    ],
    ['a row of half a block', { tensors: [tensor('a', [16n], 0n, 8)], data: 64 }, 'BAD_TENSOR_SHAPE'],
    ['an unknown tensor type', { tensors: [tensor('a', [4n], 0n, 99)], data: 64 }, 'BAD_TENSOR_TYPE'],
    ['a tensor behind the end', { tensors: [tensor('a', [9n])], data: 32 }, 'FILE_TRUNCATED'],
    ['a tensor 2^63 bytes away', { tensors: [tensor('a', [1n], huge)], data: 32 }, 'FILE_TRUNCATED'],
    ['a tensor between two alignments', { tensors: [tensor('a', [1n], 4n)], data: 32 }, 'TENSOR_MISALIGNED'],
    [
      'tensors that overlap',
      { tensors: [tensor('a', [9n]), tensor('b', [1n], 32n)], data: 64 },
      'TENSORS_OVERLAP',
    ],
    [
      'a tensor twice',
      { tensors: [tensor('a', [1n]), tensor('a', [1n], 32n)], data: 64 },
      'DUPLICATE_TENSOR',
    ],
  ])('refuses %s as data loss', async (_, parts, reason) => {
    expect(await failure(() => read(parts))).toMatchObject({ code: 'DATA_LOSS', reason });
  });

  it('takes the valid form of those files', async () => {
    await read({
      pairs: [
        write.pair('general.alignment', 4, write.u32(32)),
        write.pair('a', 9, array(0, 1n, Buffer.from([1]))),
      ],
      tensors: [tensor('a', [8n]), tensor('b', [32n], 32n, 8)],
      data: 96,
    });
  });

  it.each([
    [6, 'Q5_0'],
    [13, 'Q5_K'],
    [20, 'IQ4_NL'],
    [39, 'MXFP4'],
  ])('refuses tensor type %i by its name %s and says what works', async (type, name) => {
    const error = await failure(() => read({ tensors: [tensor('t', [256n], 0n, type)], data: 1024 }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UNSUPPORTED_TENSOR_TYPE' });
    expect(error.message).toMatch(new RegExp(`${name}.*Q4_0.*Q8_0`));
  });

  it('refuses other formats and versions', async () => {
    expect(await failure(() => readGguf(scratch.write('GGML...')))).toMatchObject({ reason: 'NOT_GGUF' });
    expect((await failure(() => read({ version: 1 }))).message).toContain('version 1');
    expect((await failure(() => read({ version: 0x03000000 }))).message).toContain('big-endian');
  });

  it('ends soon with a DmoermError or a result whatever happens to a real header', async () => {
    const bytes = readFileSync(goldenBase('gguf-f32'));
    const { tensors } = await readGguf(goldenBase('gguf-f32'));
    const headerLength = Math.min(...[...tensors.values()].map(({ offset }) => offset));
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(mutations(bytes, headerLength), async (broken) => {
        try {
          await readGguf(scratch.write(broken, 'mutated'));
        } catch (error) {
          expect(error).toBeInstanceOf(DmoermError);
          refused++;
        }
      }),
      { numRuns: 400 },
    );
    expect(refused).toBeGreaterThan(100);
  });
});

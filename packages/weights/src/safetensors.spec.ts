import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { DmoermError } from '@dmoerm/core';
import { readTensorF32 } from './read-tensor';
import { readSafetensors } from './safetensors';
import { failure, goldenAdapter, Scratch } from './spec-support/files';
import { mutations } from './spec-support/mutate';
import { writeSafetensors } from './write-safetensors';

const scratch = new Scratch();
afterAll(() => scratch.remove());

function file(header: unknown, dataBytes: number, claimed?: bigint): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(json.length));
  return scratch.write(Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
}
const entry = (
  begin: number,
  end: number,
  shape: readonly number[] = [(end - begin) / 4],
  dtype = 'F32',
) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe('readSafetensors', () => {
  it('reads back what writeSafetensors wrote, byte for byte the same when written again', async () => {
    const tensors = [
      { name: 'b', shape: [2, 3], data: Float32Array.from([1, -2, 3.5, 0, 1e-30, -1e30]) },
      { name: 'a', shape: [], data: Float32Array.from([7]) },
      { name: 'empty', shape: [0, 4], data: new Float32Array() },
    ];
    const [once, twice] = [join(scratch.folder, 'once'), join(scratch.folder, 'twice')];
    await writeSafetensors(once, tensors, { made: 'here' });
    await writeSafetensors(twice, tensors, { made: 'here' });
    expect(readFileSync(once).equals(readFileSync(twice))).toBe(true);
    const read = await readSafetensors(once);
    expect(read.metadata).toEqual({ made: 'here' });
    for (const { name, shape, data } of tensors) {
      const ref = read.tensors.get(name);
      expect(ref).toMatchObject({ name, shape, type: 'F32', file: once, bytes: data.byteLength });
      expect((ref?.offset ?? 1) % 4).toBe(0);
      if (ref !== undefined) expect(await readTensorF32(ref)).toEqual(data);
    }
  });

  it.each([
    ['an empty file', () => scratch.write(''), 'FILE_TRUNCATED'],
    ['a header longer than the file', () => file({}, 0, 3n), 'BAD_HEADER_LENGTH'],
    ['a header of 2^63 bytes', () => file({}, 0, 2n ** 63n), 'BAD_HEADER_LENGTH'],
    ['a header that is not JSON', () => file('{"a":', 0), 'NOT_JSON'],
    [
      'a header that is not UTF-8',
      () => scratch.write(Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe])),
      'NOT_JSON',
    ],
    ['a header that is a list', () => file([], 0), 'BAD_JSON_VALUE'],
    ['a negative size', () => file({ a: entry(0, 4, [-1]) }, 4), 'BAD_JSON_VALUE'],
    ['a fractional size', () => file({ a: entry(0, 4, [0.5]) }, 4), 'BAD_JSON_VALUE'],
    [
      'a size beyond 2^53',
      () => file('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}', 4),
      'BAD_JSON_VALUE',
    ],
    [
      'sizes whose product overflows',
      () => file({ a: entry(0, 4, [2 ** 40, 2 ** 40]) }, 4),
      'BAD_TENSOR_SIZE',
    ],
    ['fewer bytes than the shape needs', () => file({ a: entry(0, 4, [2]) }, 4), 'BAD_TENSOR_SIZE'],
    ['offsets that run backwards', () => file({ a: entry(4, 0, [1]) }, 4), 'BAD_TENSOR_SIZE'],
    ['tensors that overlap', () => file({ a: entry(0, 8), b: entry(4, 12) }, 12), 'TENSORS_OVERLAP'],
    ['a gap between tensors', () => file({ a: entry(0, 4), b: entry(8, 12) }, 12), 'TENSOR_GAP'],
    ['a tensor behind the end', () => file({ a: entry(0, 8) }, 4), 'FILE_SIZE_MISMATCH'],
    ['bytes that belong to no tensor', () => file({ a: entry(0, 4) }, 8), 'FILE_SIZE_MISMATCH'],
  ])('refuses %s as data loss', async (_, make, reason) => {
    expect(await failure(() => readSafetensors(make()))).toMatchObject({ code: 'DATA_LOSS', reason });
  });

  it('takes the valid form of those files', async () => {
    const { tensors } = await readSafetensors(file({ a: entry(0, 8), b: entry(8, 12) }, 12));
    expect([...tensors.keys()]).toEqual(['a', 'b']);
  });

  it('names a type that it cannot read, and those that it can', async () => {
    const error = await failure(() => readSafetensors(file({ odd: entry(0, 4, [4], 'F8_E4M3') }, 4)));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UNSUPPORTED_TENSOR_TYPE' });
    expect(error.message).toMatch(/odd.*F8_E4M3.*F32, F16, BF16/);
  });

  it('says that a file is missing', async () => {
    expect(await failure(() => readSafetensors(join(scratch.folder, 'none')))).toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('ends with a DmoermError or a result whatever happens to a real header', async () => {
    const bytes = readFileSync(join(goldenAdapter('rank1'), 'adapter_model.safetensors'));
    const headerLength = 8 + Number(bytes.readBigUInt64LE());
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(mutations(bytes, headerLength), async (broken) => {
        try {
          await readSafetensors(scratch.write(broken, 'mutated'));
        } catch (error) {
          expect(error).toBeInstanceOf(DmoermError);
          refused++;
        }
      }),
      { numRuns: 400 },
    );
    expect(refused).toBeGreaterThan(200);
  });
});

describe('writeSafetensors', () => {
  it('leaves no file behind when a tensor does not fit its shape', async () => {
    const path = join(scratch.folder, 'unfit');
    const error = await failure(() =>
      writeSafetensors(path, [{ name: 'a', shape: [3], data: new Float32Array(2) }]),
    );
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'BAD_TENSOR_SHAPE' });
    expect(() => readFileSync(path)).toThrow();
  });
});

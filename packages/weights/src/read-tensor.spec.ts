import { readTensorF32 } from './read-tensor';
import { failure, Scratch } from './spec-support/files';
import type { TensorRef, TensorType } from './types';

const scratch = new Scratch();
afterAll(() => scratch.remove());

function tensor(type: TensorType, halves: readonly number[]): TensorRef {
  const bytes = Buffer.from(Uint16Array.from(halves).buffer);
  return {
    name: 't',
    type,
    shape: [halves.length],
    file: scratch.write(bytes),
    offset: 0,
    bytes: bytes.length,
  };
}

describe('readTensorF32', () => {
  it('decodes half precision, subnormal numbers and both zeros too', async () => {
    const values = await readTensorF32(
      tensor('F16', [0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x0000, 0x8000, 0x3555]),
    );
    expect([...values]).toEqual([1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, 0, -0, 0.333251953125]);
  });

  it('decodes bfloat16', async () => {
    expect([...(await readTensorF32(tensor('BF16', [0x3f80, 0xc000, 0x4049, 0x0000])))]).toEqual([
      1, -2, 3.140625, 0,
    ]);
  });

  it.each([
    ['infinity', 'F16', 0x7c00],
    ['NaN', 'F16', 0x7e00],
    ['infinity', 'BF16', 0xff80],
    ['NaN', 'BF16', 0x7fc0],
  ] as const)('refuses %s in %s', async (_, type, bits) => {
    expect(await failure(() => readTensorF32(tensor(type, [0x3c00, bits])))).toMatchObject({
      code: 'DATA_LOSS',
      reason: 'NON_FINITE_TENSOR',
    });
  });

  it('refuses quantised tensors by name, and files that became shorter', async () => {
    expect((await failure(() => readTensorF32({ ...tensor('F16', [0]), type: 'Q4_K' }))).message).toContain(
      'Q4_K',
    );
    expect(await failure(() => readTensorF32({ ...tensor('F16', [0]), bytes: 4 }))).toMatchObject({
      reason: 'FILE_TRUNCATED',
    });
  });
});

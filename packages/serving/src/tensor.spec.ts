import { commonV1 } from '@dmoerm/protos';
import { fromTensor, toRows, toTensor } from './tensor';

const { DataType } = commonV1;

describe('toTensor and fromTensor', () => {
  it('carry floats bit for bit, through the encoded message too', () => {
    const data = Float32Array.of(1.5, -0, 3.4028234663852886e38, 1e-45, 0.1, 7);
    const bytes = commonV1.Tensor.encode(toTensor(data, [2, 3])).finish();
    expect(fromTensor(commonV1.Tensor.decode(bytes), [2, 3], 'x')).toEqual(data);
  });

  it('write little-endian', () => {
    expect(toTensor(Float32Array.of(1), [1]).data.toString('hex')).toBe('0000803f');
  });

  it('take a view of a larger array', () => {
    const [, second] = toRows(Float32Array.of(1, 2, 3, 4), 2);
    expect(fromTensor(toTensor(second ?? new Float32Array(), [2]), [2], 'x')).toEqual(Float32Array.of(3, 4));
  });

  it('read bfloat16', () => {
    const tensor = { dataType: DataType.BFLOAT16, shape: [2n], data: Buffer.from('803f20c1', 'hex') };
    expect(fromTensor(tensor, [2], 'x')).toEqual(Float32Array.of(1, -10));
  });

  it.each([
    ['no tensor', undefined, 'x'],
    ['another shape', toTensor(new Float32Array(6), [3, 2]), 'x'],
    ['another rank', toTensor(new Float32Array(6), [6]), 'x'],
    ['too few bytes', { ...toTensor(new Float32Array(6), [2, 3]), data: Buffer.alloc(23) }, 'x.data'],
    ['too many bytes', { ...toTensor(new Float32Array(6), [2, 3]), data: Buffer.alloc(28) }, 'x.data'],
    ['no type', { ...toTensor(new Float32Array(6), [2, 3]), dataType: DataType.UNSPECIFIED }, 'x.data_type'],
    [
      'an unknown type',
      { ...toTensor(new Float32Array(6), [2, 3]), dataType: 7 as commonV1.DataType },
      'x.data_type',
    ],
  ])('refuse %s', (_, tensor, field) => {
    expect(() => fromTensor(tensor, [2, 3], 'x')).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', reason: 'BAD_TENSOR', field }),
    );
  });
});

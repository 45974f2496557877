import { corrupt, invalidArgument } from '@dmoerm/core';
import { withFile } from './file';
import type { TensorRef } from './types';

/** Most bytes of a tensor that is read into memory here; the engine maps larger ones itself. */
const MAX_BYTES = 2 ** 28;

/**
 * The values of a small tensor (a head, an expected result), row-major.
 * @throws DmoermError INVALID_ARGUMENT for a quantised or larger tensor; DATA_LOSS, reason `NON_FINITE_TENSOR`, for NaN or infinity,
 *   or if the file has become shorter.
 */
export async function readTensorF32(ref: TensorRef): Promise<Float32Array> {
  const field = `${ref.file}: ${ref.name}`;
  const { type } = ref;
  if (type !== 'F32' && type !== 'F16' && type !== 'BF16')
    throw invalidArgument(
      field,
      'UNSUPPORTED_TENSOR_TYPE',
      `tensor ${ref.name} has type ${type}; here F32, F16 and BF16 are read`,
    );
  if (ref.bytes > MAX_BYTES)
    throw invalidArgument(
      field,
      'TENSOR_TOO_LARGE',
      `tensor ${ref.name} has ${ref.bytes} bytes; here at most ${MAX_BYTES} are read`,
    );
  const bytes = await withFile(ref.file, (file) => file.read(ref.offset, ref.bytes));
  const values = decode(type, bytes);
  if (!values.every(Number.isFinite))
    throw corrupt(
      field,
      'NON_FINITE_TENSOR',
      `tensor ${ref.name} of ${ref.file} holds values that are not finite`,
    );
  return values;
}

function decode(type: 'F32' | 'F16' | 'BF16', bytes: Buffer): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case 'F32':
      return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(i * 4, true));
    case 'BF16': {
      const bits = Uint32Array.from(
        { length: bytes.length / 2 },
        (_, i) => view.getUint16(i * 2, true) << 16,
      );
      return new Float32Array(bits.buffer);
    }
    case 'F16':
      return Float32Array.from({ length: bytes.length / 2 }, (_, i) =>
        halfToNumber(view.getUint16(i * 2, true)),
      );
  }
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

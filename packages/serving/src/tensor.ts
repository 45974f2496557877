import { invalidArgument } from '@dmoerm/core';
import { commonV1 } from '@dmoerm/protos';

const { DataType } = commonV1;
const F32_BYTES = 4;
const BF16_BYTES = 2;

/** Little-endian float32 on the wire; every platform of dmoerm (x86-64, arm64) is little-endian in memory. */
export function toTensor(data: Float32Array, shape: readonly number[]): commonV1.Tensor {
  return {
    dataType: DataType.FLOAT32,
    shape: shape.map(BigInt),
    data: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  };
}

/**
 * The elements of a tensor of the given shape.
 * @param field names the tensor in errors.
 * @throws DmoermError INVALID_ARGUMENT, reason `BAD_TENSOR`, if type, shape or size is another.
 */
export function fromTensor(
  tensor: commonV1.Tensor | undefined,
  shape: readonly number[],
  field: string,
): Float32Array<ArrayBuffer> {
  const size = shape.reduce((product, n) => product * n, 1);
  if (tensor === undefined) throw badTensor(field, 'is missing');
  const sameShape =
    tensor.shape.length === shape.length && tensor.shape.every((n, i) => Number(n) === shape[i]);
  if (!sameShape)
    throw badTensor(field, `must have the shape [${shape.join(', ')}], not [${tensor.shape.join(', ')}]`);
  switch (tensor.dataType) {
    case DataType.FLOAT32:
      checkBytes(tensor.data, size * F32_BYTES, field);
      // A copy: a message's bytes start anywhere, a Float32Array at multiples of four.
      return new Float32Array(Uint8Array.from(tensor.data).buffer);
    case DataType.BFLOAT16: {
      checkBytes(tensor.data, size * BF16_BYTES, field);
      const upperHalves = new Uint16Array(Uint8Array.from(tensor.data).buffer);
      return new Float32Array(Uint32Array.from(upperHalves, (bits) => bits << 16).buffer);
    }
    default:
      throw badTensor(`${field}.data_type`, 'must be float32 or bfloat16');
  }
}

/** The rows of a matrix [N, width], as views. */
export function toRows(data: Float32Array<ArrayBuffer>, width: number): Float32Array<ArrayBuffer>[] {
  return Array.from({ length: data.length / width }, (_, i) => data.subarray(i * width, (i + 1) * width));
}

function checkBytes(data: Uint8Array, expected: number, field: string): void {
  if (data.length !== expected)
    throw badTensor(
      `${field}.data`,
      `must have ${expected} bytes for its shape and type, not ${data.length}`,
    );
}

function badTensor(field: string, fault: string): Error {
  return invalidArgument(field, 'BAD_TENSOR', `the tensor ${fault}`);
}

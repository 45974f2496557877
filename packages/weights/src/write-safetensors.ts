import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { endianness } from 'node:os';
import { invalidArgument } from '@dmoerm/core';

/** A tensor to write, row-major. */
export interface NamedTensor {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
  /** How its elements are kept: `BF16` rounds to nearest, ties to even. Default `F32`. */
  readonly type?: 'F32' | 'BF16';
}

/**
 * Writes a safetensors file, tensors in the order given: the same tensors give the same bytes. The file appears whole or not
 * at all.
 * @throws DmoermError INVALID_ARGUMENT if a shape does not fit its data or a name comes twice.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly NamedTensor[],
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  const header = headerBytes(tensors, metadata);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(header);
      for (const tensor of tensors) await file.writeFile(littleEndian(elements(tensor)));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function headerBytes(tensors: readonly NamedTensor[], metadata?: Readonly<Record<string, string>>): Buffer {
  const header = new Map<string, unknown>(metadata === undefined ? [] : [['__metadata__', metadata]]);
  let position = 0;
  for (const { name, shape, data, type = 'F32' } of tensors) {
    if (shape.reduce((product, size) => product * size, 1) !== data.length)
      throw invalidArgument(
        name,
        'BAD_TENSOR_SHAPE',
        `tensor ${name} has ${data.length} values, not [${shape.join(', ')}]`,
      );
    if (header.has(name)) throw invalidArgument(name, 'DUPLICATE_TENSOR', `tensor ${name} comes twice`);
    const bytes = data.length * (type === 'BF16' ? 2 : 4);
    header.set(name, { dtype: type, shape, data_offsets: [position, position + bytes] });
    position += bytes;
  }
  const json = JSON.stringify(Object.fromEntries(header));
  // Spaces up to a multiple of 8, so that the data is aligned for whoever maps the file.
  const length = Math.ceil(Buffer.byteLength(json) / 8) * 8;
  const bytes = Buffer.alloc(8 + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.write(json, 8);
  return bytes;
}

function elements({ data, type }: NamedTensor): Float32Array | Uint16Array {
  return type === 'BF16' ? toBfloat16(data) : data;
}

/** Nearest bfloat16 of each value, ties to even; values are finite. */
export function toBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
}

function littleEndian(data: Float32Array | Uint16Array): Buffer {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (endianness() === 'LE') return bytes;
  return data.BYTES_PER_ELEMENT === 4 ? Buffer.from(bytes).swap32() : Buffer.from(bytes).swap16();
}

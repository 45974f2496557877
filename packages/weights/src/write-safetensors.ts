import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { endianness } from 'node:os';
import { invalidArgument } from '@dmoerm/core';

/** A float32 tensor to write, row-major. */
export interface NamedTensor {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * Writes a safetensors file of float32 tensors, in the order given: the same tensors give the same bytes. The file appears whole or not
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
      for (const { data } of tensors) await file.writeFile(littleEndian(data));
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
  for (const { name, shape, data } of tensors) {
    if (shape.reduce((product, size) => product * size, 1) !== data.length)
      throw invalidArgument(
        name,
        'BAD_TENSOR_SHAPE',
        `tensor ${name} has ${data.length} values, not [${shape.join(', ')}]`,
      );
    if (header.has(name)) throw invalidArgument(name, 'DUPLICATE_TENSOR', `tensor ${name} comes twice`);
    header.set(name, { dtype: 'F32', shape, data_offsets: [position, position + data.byteLength] });
    position += data.byteLength;
  }
  const json = JSON.stringify(Object.fromEntries(header));
  // Spaces up to a multiple of 8, so that the data is aligned for whoever maps the file.
  const length = Math.ceil(Buffer.byteLength(json) / 8) * 8;
  const bytes = Buffer.alloc(8 + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.write(json, 8);
  return bytes;
}

function littleEndian(data: Float32Array): Buffer {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32();
}

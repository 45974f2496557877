import { corrupt, invalidArgument } from '@dmoerm/core';
import { withFile, type OpenFile } from './file';
import { GgufCursor } from './gguf-cursor';
import { readGgufMetadata, type GgufValue } from './gguf-metadata';
import { ggufTensorType } from './gguf-types';
import { tensorBytes } from './tensor-type';
import type { TensorRef, TensorType } from './types';

const MAGIC = 0x46554747;
const BIG_ENDIAN_3 = 0x03000000;
const MAX_KEYS = 65_536;
const MAX_TENSORS = 65_536;
const MAX_DIMENSIONS = 4;
const MAX_ALIGNMENT = 2 ** 20;

/** A GGUF file: metadata by key, tensors by their names in the file. */
export interface Gguf {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, TensorRef>;
}

/**
 * Reads metadata and tensor table of a GGUF file (version 2 or 3, little-endian); tensor bytes stay on disk. Shapes are outermost first,
 * the reverse of the file's order.
 * @throws DmoermError DATA_LOSS naming file and tensor; INVALID_ARGUMENT, reason `UNSUPPORTED_TENSOR_TYPE` or
 *   `UNSUPPORTED_GGUF_VERSION`; NOT_FOUND.
 */
export async function readGguf(path: string): Promise<Gguf> {
  return withFile(path, readHeader);
}

function readHeader(file: OpenFile): Gguf {
  const cursor = new GgufCursor(file);
  if (cursor.u32() !== MAGIC) throw corrupt(file.path, 'NOT_GGUF', `${file.path} is not a GGUF file`);
  checkVersion(file.path, cursor.u32());
  const tensorCount = cursor.count('tensor count', MAX_TENSORS, 8 + 4 + 4 + 8);
  const keyCount = cursor.count('key count', MAX_KEYS, 8 + 4 + 1);
  const metadata = readGgufMetadata(cursor, keyCount);
  const infos = Array.from({ length: tensorCount }, () => readTensorInfo(cursor));
  return { metadata, tensors: placeTensors(cursor, alignment(cursor, metadata), infos) };
}

function checkVersion(path: string, version: number): void {
  if (version === 2 || version === 3) return;
  throw invalidArgument(
    path,
    'UNSUPPORTED_GGUF_VERSION',
    version === BIG_ENDIAN_3
      ? `${path} is big-endian; only little-endian files can be read`
      : `${path} has version ${version}; versions 2 and 3 can be read`,
  );
}

interface TensorInfo {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
  /** Relative to the start of the data. */
  readonly offset: bigint;
  readonly bytes: number;
}

function readTensorInfo(cursor: GgufCursor): TensorInfo {
  const name = cursor.string();
  const field = fieldOf(cursor.file.path, name);
  const dimensions = cursor.u32();
  if (dimensions > MAX_DIMENSIONS)
    throw corrupt(
      field,
      'BAD_TENSOR_SHAPE',
      `${field} has ${dimensions} dimensions; at most ${MAX_DIMENSIONS}`,
    );
  const shape = Array.from({ length: dimensions }, () => Number(cursor.u64())).reverse();
  const type = ggufTensorType(field, cursor.u32());
  const bytes = tensorBytes(type, shape);
  if (bytes === null)
    throw corrupt(field, 'BAD_TENSOR_SHAPE', `${field} cannot be ${type} [${shape.join(', ')}]`);
  return { name, type, shape, offset: cursor.u64(), bytes };
}

function alignment(cursor: GgufCursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get('general.alignment') ?? 32;
  if (
    typeof value !== 'number' ||
    !(value >= 1 && value <= MAX_ALIGNMENT) ||
    !Number.isInteger(Math.log2(value))
  )
    throw cursor.error('BAD_ALIGNMENT', `general.alignment must be a power of two up to ${MAX_ALIGNMENT}`);
  return value;
}

function placeTensors(
  cursor: GgufCursor,
  align: number,
  infos: readonly TensorInfo[],
): Map<string, TensorRef> {
  const { path, size } = cursor.file;
  const dataStart = Math.ceil(cursor.position / align) * align;
  const tensors = new Map<string, TensorRef>();
  for (const { offset, ...info } of infos) {
    const field = fieldOf(path, info.name);
    if (tensors.has(info.name)) throw corrupt(field, 'DUPLICATE_TENSOR', `${field} comes twice`);
    if (offset % BigInt(align) !== 0n)
      throw corrupt(field, 'TENSOR_MISALIGNED', `${field} does not start at a multiple of ${align}`);
    if (offset + BigInt(dataStart + info.bytes) > BigInt(size))
      throw corrupt(field, 'FILE_TRUNCATED', `${field} ends behind the end of the file`);
    tensors.set(info.name, { ...info, file: path, offset: dataStart + Number(offset) });
  }
  checkDisjoint(path, [...tensors.values()]);
  return tensors;
}

function checkDisjoint(path: string, tensors: readonly TensorRef[]): void {
  let end = 0;
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    const field = fieldOf(path, tensor.name);
    if (tensor.offset < end)
      throw corrupt(field, 'TENSORS_OVERLAP', `${field} overlaps the tensor before it`);
    end = tensor.offset + tensor.bytes;
  }
}

/** File and tensor for an error; names come from the file, so they are cut and escaped. */
function fieldOf(path: string, name: string): string {
  return `${path}: ${JSON.stringify(name.slice(0, 80))}`;
}

import { corrupt, invalidArgument } from '@dmoerm/core';
import { z } from 'zod';
import { parseJson, withFile, type OpenFile } from './file';
import { tensorBytes } from './tensor-type';
import type { TensorRef, TensorType } from './types';

/** Most bytes of a header: the limit of the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000;
const DTYPES = ['F32', 'F16', 'BF16'] as const satisfies readonly TensorType[];

const Entry = z.object({
  dtype: z.string(),
  shape: z.array(z.int().nonnegative()).max(8),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});
const Header = z.object({ __metadata__: z.record(z.string(), z.string()).optional() }).catchall(Entry);

/** A safetensors file: its tensors by name, and its free-text metadata. */
export interface Safetensors {
  readonly tensors: ReadonlyMap<string, TensorRef>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads the header of a safetensors file; tensor bytes stay on disk. The tensors must fill the file without gap or overlap.
 * @throws DmoermError DATA_LOSS naming file and tensor; INVALID_ARGUMENT, reason `UNSUPPORTED_TENSOR_TYPE`; NOT_FOUND.
 */
export async function readSafetensors(path: string): Promise<Safetensors> {
  return withFile(path, readHeader);
}

function readHeader(file: OpenFile): Safetensors {
  if (file.size < 8)
    throw corrupt(file.path, 'FILE_TRUNCATED', `${file.path} is too short for a safetensors file`);
  const length = file.read(0, 8).readBigUInt64LE();
  const limit = Math.min(MAX_HEADER_BYTES, file.size - 8);
  if (length > BigInt(limit))
    throw corrupt(
      file.path,
      'BAD_HEADER_LENGTH',
      `${file.path} claims a header of ${length} bytes; at most ${limit} are possible`,
    );
  const dataStart = 8 + Number(length);
  const { __metadata__: metadata = {}, ...entries } = parseJson(
    file.path,
    file.read(8, Number(length)),
    Header,
  );
  const tensors = Object.entries(entries).map(([name, entry]) => toRef(file, dataStart, name, entry));
  checkFilled(file, dataStart, tensors);
  return { tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), metadata };
}

function toRef(file: OpenFile, dataStart: number, name: string, entry: z.output<typeof Entry>): TensorRef {
  const field = `${file.path}: ${name}`;
  const type = DTYPES.find((dtype) => dtype === entry.dtype);
  if (type === undefined)
    throw invalidArgument(
      field,
      'UNSUPPORTED_TENSOR_TYPE',
      `tensor ${name} has type ${entry.dtype.slice(0, 32)}; safetensors may hold ${DTYPES.join(', ')}`,
    );
  const [begin, end] = entry.data_offsets;
  const bytes = tensorBytes(type, entry.shape);
  if (bytes === null || end - begin !== bytes)
    throw corrupt(
      field,
      'BAD_TENSOR_SIZE',
      `tensor ${name} has ${end - begin} bytes; ${type} [${entry.shape.join(', ')}] needs ${bytes ?? 'more than any file has'}`,
    );
  return { name, type, shape: entry.shape, file: file.path, offset: dataStart + begin, bytes };
}

function checkFilled(file: OpenFile, dataStart: number, tensors: readonly TensorRef[]): void {
  let position = dataStart;
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (tensor.offset !== position)
      throw corrupt(
        `${file.path}: ${tensor.name}`,
        tensor.offset < position ? 'TENSORS_OVERLAP' : 'TENSOR_GAP',
        `tensor ${tensor.name} starts at byte ${tensor.offset}, the one before it ends at ${position}`,
      );
    position += tensor.bytes;
  }
  if (position !== file.size)
    throw corrupt(
      file.path,
      'FILE_SIZE_MISMATCH',
      `the tensors of ${file.path} end at byte ${position}, the file at ${file.size}`,
    );
}

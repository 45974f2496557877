import { open, type FileHandle } from 'node:fs/promises';
import { readSync } from 'node:fs';
import { resolve } from 'node:path';
import { corrupt, DmoermError } from '@dmoerm/core';
import type { z } from 'zod';

/** Most bytes of a JSON file (config, index, adapter_config); real ones are far below. */
const MAX_JSON_BYTES = 64 * 2 ** 20;

/** An open regular file. */
export interface OpenFile {
  /** Absolute. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** `length` bytes from `offset`; @throws DmoermError DATA_LOSS if the file ends before. */
  read(offset: number, length: number): Buffer;
}

/**
 * Opens a file, hands it to `use` and closes it. Reads are synchronous: headers are many small values, where an await each costs
 * more than the read.
 * @throws DmoermError NOT_FOUND if there is no such file; DATA_LOSS if it cannot be read.
 */
export async function withFile<T>(path: string, use: (file: OpenFile) => T): Promise<T> {
  const absolute = resolve(path);
  const handle = await openForReading(absolute);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw corrupt(absolute, 'NOT_A_FILE', `${absolute} is not a regular file`);
    return use({
      path: absolute,
      size: stats.size,
      read: (offset, length) => readExactly(handle, absolute, offset, length),
    });
  } finally {
    await handle.close();
  }
}

/**
 * A JSON file of a given shape.
 * @throws DmoermError NOT_FOUND if missing; DATA_LOSS naming file and key if it is not JSON of that shape.
 */
export async function readJson<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> {
  return withFile(path, (file) => {
    if (file.size > MAX_JSON_BYTES)
      throw corrupt(
        file.path,
        'JSON_TOO_LARGE',
        `${file.path} has ${file.size} bytes; at most ${MAX_JSON_BYTES} are read`,
      );
    return parseJson(file.path, file.read(0, file.size), schema);
  });
}

/** JSON bytes of a given shape; errors as in `readJson`. */
export function parseJson<S extends z.ZodType>(path: string, bytes: Buffer, schema: S): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new DmoermError({
      code: 'DATA_LOSS',
      reason: 'NOT_JSON',
      message: `${path} does not hold valid JSON`,
      field: path,
      cause,
    });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = issue?.path.join('.') ?? '';
  throw corrupt(
    `${path}: ${key}`,
    'BAD_JSON_VALUE',
    `${path}: ${key === '' ? 'the file' : key}: ${issue?.message ?? 'wrong'}`,
  );
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new DmoermError({
      code: missing ? 'NOT_FOUND' : 'DATA_LOSS',
      reason: missing ? 'FILE_NOT_FOUND' : 'FILE_UNREADABLE',
      message: missing ? `there is no file ${path}` : `${path} cannot be opened for reading`,
      field: path,
      cause,
    });
  }
}

function readExactly(handle: FileHandle, path: string, offset: number, length: number): Buffer {
  const buffer = Buffer.allocUnsafe(length);
  let done = 0;
  try {
    while (done < length) {
      const count = readSync(handle.fd, buffer, done, length - done, offset + done);
      if (count === 0) break;
      done += count;
    }
  } catch (cause) {
    throw new DmoermError({
      code: 'DATA_LOSS',
      reason: 'FILE_UNREADABLE',
      message: `${path} cannot be read`,
      field: path,
      cause,
    });
  }
  if (done < length)
    throw corrupt(
      path,
      'FILE_TRUNCATED',
      `${path} ends after ${offset + done} bytes; ${offset + length} are needed`,
    );
  return buffer;
}

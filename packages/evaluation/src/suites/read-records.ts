import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { corrupt, DmoermError } from '@dmoerm/core';
import type { z } from 'zod';

/** A row and the file that it is from. */
export interface Row<T> {
  readonly value: T;
  /** Name of the file, without folder. */
  readonly file: string;
}

/** Rows of all files and the SHA-256 of each. */
export interface Records<T> {
  readonly rows: readonly Row<T>[];
  readonly digests: Readonly<Record<string, string>>;
}

const ENDING = /\.(parquet|json|jsonl|json\.gz|jsonl\.gz)$/;

/**
 * Reads published files: parquet, JSON (an array of rows, or columns of equal length as pandas writes them) or JSON lines; folders
 * with all such files in them, by name.
 * @throws DmoermError NOT_FOUND, reason `DATA_MISSING`; DATA_LOSS, field `<file>: row <n>`, reason `BAD_ROW`, for a row of another form.
 */
export async function readRecords<T>(paths: readonly string[], schema: z.ZodType<T>): Promise<Records<T>> {
  const rows: Row<T>[] = [];
  const digests: Record<string, string> = {};
  for (const path of paths.flatMap(toFiles)) {
    const bytes = readFileSync(path);
    const file = basename(path);
    digests[file] = createHash('sha256').update(bytes).digest('hex');
    (await parseFile(path, bytes)).forEach((value, i) => {
      const row = schema.safeParse(value);
      if (row.success) return void rows.push({ value: row.data, file });
      const issue = row.error.issues[0];
      const at = `${path}: row ${i + 1}`;
      throw corrupt(at, 'BAD_ROW', `${at}: ${issue?.path.join('.')}: ${issue?.message}`);
    });
  }
  return { rows, digests };
}

async function parseFile(path: string, bytes: Buffer): Promise<readonly unknown[]> {
  try {
    if (path.endsWith('.parquet')) return await parseParquet(bytes);
    const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
    if (/\.jsonl(\.gz)?$/.test(path))
      return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [JSON.parse(line) as unknown]));
    const json = JSON.parse(text) as unknown;
    if (Array.isArray(json)) return json as unknown[];
  } catch (error) {
    throw corrupt(path, 'BAD_FILE', `${path} cannot be read: ${DmoermError.from(error).message}`);
  }
  throw corrupt(path, 'BAD_FILE', `${path} is no array of rows`);
}

/** Integers of 64 bits come as bigint; those of these formats are small. */
async function parseParquet(bytes: Buffer): Promise<readonly unknown[]> {
  const { parquetReadObjects } = await import('hyparquet');
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const rows: unknown[] = await parquetReadObjects({ file: buffer });
  return rows.map(plain);
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, own]) => [key, plain(own)]));
}

function toFiles(path: string): string[] {
  if (!existsSync(path)) throw missing(path, 'is not there');
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => ENDING.test(name));
  if (names.length === 0) throw missing(path, 'holds no .parquet, .json or .jsonl file');
  return names.sort().map((name) => join(path, name));
}

function missing(path: string, what: string): DmoermError {
  return new DmoermError({
    code: 'NOT_FOUND',
    reason: 'DATA_MISSING',
    field: path,
    message: `${path} ${what}`,
  });
}

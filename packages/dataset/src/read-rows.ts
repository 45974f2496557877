import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { corrupt, DmoermError } from '@dmoerm/core';
import type { z } from 'zod';

/** Rows of a file and the SHA-256 of its bytes. */
export interface Rows<T> {
  readonly rows: T[];
  readonly sha256: string;
}

/**
 * Reads JSON lines, gzipped where the name ends in `.gz`.
 * @param check what is wrong with a row beyond its form, or null; `line` counts from 1.
 * @throws DmoermError NOT_FOUND, reason `DATA_MISSING`; DATA_LOSS, field `<file>:<line>`, reason `BAD_ROW`; field `<file>`, reason `BROKEN_FILE`.
 */
export async function readRows<T>(
  file: string,
  schema: z.ZodType<T>,
  check: (row: T, line: number) => string | null,
): Promise<Rows<T>> {
  if (!existsSync(file))
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'DATA_MISSING',
      field: file,
      message: `${file} is not there; data is read from JSON lines, .jsonl or .jsonl.gz`,
    });
  const hash = createHash('sha256');
  const bytes = createReadStream(file);
  bytes.on('data', (chunk) => hash.update(chunk));
  const input = file.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes;
  // A stream that breaks off must not look like one that ends.
  const broken = new Promise<never>((_, reject) => {
    for (const stream of new Set([bytes, input]))
      stream.on('error', (cause: Error) =>
        reject(corrupt(file, 'BROKEN_FILE', `${file} cannot be read: ${cause.message}`)),
      );
  });
  const rows = await Promise.race([readLines(file, input, schema, check), broken]);
  return { rows, sha256: hash.digest('hex') };
}

async function readLines<T>(
  file: string,
  input: NodeJS.ReadableStream,
  schema: z.ZodType<T>,
  check: (row: T, line: number) => string | null,
): Promise<T[]> {
  const rows: T[] = [];
  let lineNumber = 0;
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    lineNumber++;
    if (line === '') continue;
    const row = schema.safeParse(parseJson(line));
    const issue = row.error?.issues[0];
    const problem = row.success
      ? check(row.data, lineNumber)
      : `${issue?.path.join('.') || 'the row'}: ${issue?.message}`;
    if (problem !== null)
      throw corrupt(`${file}:${lineNumber}`, 'BAD_ROW', `${file}, line ${lineNumber}: ${problem}`);
    if (row.success) rows.push(row.data);
  }
  return rows;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

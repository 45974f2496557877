import { createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DmoermError } from '@dmoerm/core';
import { hashFile } from './digest';
import { describeFetchError } from './fetch-error';

/** A file to fetch. */
export interface Download {
  readonly url: string;
  /** Where it goes; what is there already is taken as its beginning. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly onProgress?: (bytes: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Fetches a file over HTTP, going on where an earlier try was cut, and verifies it.
 * @throws DmoermError UNAVAILABLE if the server cannot be reached or stops half-way (what came stays for the next try);
 *   DATA_LOSS, reason `DIGEST_MISMATCH`, if it is another file (which is removed).
 */
export async function download(file: Download): Promise<void> {
  await mkdir(dirname(file.path), { recursive: true });
  let have = await stat(file.path).then(
    (info) => info.size,
    () => 0,
  );
  if (have > file.bytes) {
    await rm(file.path);
    have = 0;
  }
  if (have < file.bytes) await fetchRest(file, have);
  const actual = await hashFile(file.path);
  if (actual.sha256 === file.sha256) return;
  await rm(file.path);
  throw new DmoermError({
    code: 'DATA_LOSS',
    reason: 'DIGEST_MISMATCH',
    message: `${file.url} is not the expected file (${actual.bytes} bytes, digest ${actual.sha256.slice(0, 12)}...)`,
  });
}

async function fetchRest(file: Download, have: number): Promise<void> {
  const headers: Record<string, string> = have > 0 ? { range: `bytes=${have}-` } : {};
  try {
    const response = await fetch(file.url, {
      headers,
      ...(file.signal === undefined ? {} : { signal: file.signal }),
    });
    if (!response.ok || response.body === null) throw new Error(`the server answered ${response.status}`);
    // A server without ranges sends the whole file again.
    const start = response.status === 206 ? have : 0;
    let bytes = start;
    const count = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        bytes += chunk.length;
        if (bytes > file.bytes) throw new Error('the server sends more than the file should have');
        file.onProgress?.(bytes, file.bytes);
        yield chunk;
      }
    };
    const body = Readable.fromWeb(response.body);
    await pipeline(body, count, createWriteStream(file.path, { flags: start > 0 ? 'a' : 'w' }));
    if (bytes < file.bytes) throw new Error(`it ended after ${bytes} of ${file.bytes} bytes`);
  } catch (error) {
    throw new DmoermError({
      code: file.signal?.aborted ? 'CANCELLED' : 'UNAVAILABLE',
      reason: 'DOWNLOAD_FAILED',
      message: `${file.url}: ${describeFetchError(error)}`,
      cause: error,
    });
  }
}

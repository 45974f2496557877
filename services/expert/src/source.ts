import { join } from 'node:path';
import { bytesUnder, openBundle } from '@dmoerm/bundle';
import { loadModel } from '@dmoerm/model';
import type { Model } from '@dmoerm/model';
import type { RevisionSource } from '@dmoerm/serving';
import type { ExpertConfig } from './config';

/** Bundles on disk, loaded into engines. */
export function modelsOfBundles(config: ExpertConfig): RevisionSource<Model> {
  const { cacheDir, tasks, threads, weightType, isa } = config;
  const engine = { threads, weightType, isa, cacheDirectory: join(cacheDir, 'packed') };
  return {
    open: (reference) => openBundle(reference, { cacheDir }),
    // Adapters of tasks that it does not serve count too: an estimate that is never too small.
    bytes: ({ manifest }) => manifest.base.bytes + bytesUnder(manifest, 'adapters/'),
    prepare: (bundle) => loadModel(bundle, tasks === null ? engine : { ...engine, tasks }),
  };
}

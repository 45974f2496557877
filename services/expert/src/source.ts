import { join } from 'node:path';
import { openBundle } from '@dmoerm/bundle';
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
    prepare: (bundle) => loadModel(bundle, tasks === null ? engine : { ...engine, tasks }),
  };
}

import { bytesUnder } from '@dmoerm/bundle';
import { createOnnxRunner } from '@dmoerm/onnx';
import { Revisions, createHost } from '@dmoerm/serving';
import type { RevisionSource, Service } from '@dmoerm/serving';
import { loadAggregators } from '@dmoerm/reward';
import type { AggregatorConfig } from './config';
import { bindAggregatorService } from './handler';

/** The aggregator service: the learned heads of all tasks, and the rules that need none. */
export function createAggregatorService(
  config: AggregatorConfig,
  openBundle: RevisionSource<unknown>['open'],
): Service {
  const runner = createOnnxRunner();
  const revisions = new Revisions(
    {
      open: openBundle,
      bytes: ({ manifest }) => bytesUnder(manifest, 'aggregators/'),
      prepare: (bundle) => loadAggregators(bundle, runner),
    },
    config.maxBundleBytes,
  );
  return createHost(config, {
    revisions,
    bindings: [bindAggregatorService(revisions)],
    taskNames: ({ taskNames }) => taskNames,
    maxMessageBytes: config.maxMessageBytes,
    close: async () => runner[Symbol.asyncDispose](),
  });
}

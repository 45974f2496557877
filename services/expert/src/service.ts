import type { Model } from '@dmoerm/model';
import { Revisions, createHost } from '@dmoerm/serving';
import type { RevisionSource, Service } from '@dmoerm/serving';
import type { ExpertConfig } from './config';
import { Expert } from './expert';
import { bindExpertService } from './handler';

/** The expert service: one base in an engine, and the capability experts of its tasks. */
export function createExpertService(config: ExpertConfig, source: RevisionSource<Model>): Service {
  const revisions = new Revisions(source, config.maxBundleBytes);
  return createHost(config, {
    revisions,
    bindings: [bindExpertService(new Expert(config), revisions)],
    taskNames: (model) => model.taskNames,
    maxMessageBytes: config.maxMessageBytes,
  });
}

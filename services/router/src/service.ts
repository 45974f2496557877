import { bytesUnder } from '@dmoerm/bundle';
import { createOnnxRunner } from '@dmoerm/onnx';
import { aggregatorV1, expertV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import { Revisions, createHost, peerTls } from '@dmoerm/serving';
import type { RevisionSource, Service } from '@dmoerm/serving';
import { Admission } from './admission';
import type { RouterConfig } from './config';
import { bindRewardService } from './handler';
import { Quotas } from './quotas';
import { Router } from './router';
import { loadRouterModel } from './router-model';

/** The router service: the public API in front of experts and aggregator. */
export function createRouterService(
  config: RouterConfig,
  openBundle: RevisionSource<unknown>['open'],
): Service {
  const { peerMessageBytes: maxMessageBytes } = config;
  const tls = peerTls(config);
  const secured = tls === null ? {} : { tls };
  const expert = connect(expertV1.ExpertServiceService, {
    target: config.expert,
    timeoutMs: config.expertTimeoutMs,
    maxMessageBytes,
    ...secured,
  });
  const aggregator = connect(aggregatorV1.AggregatorServiceService, {
    target: config.aggregator,
    timeoutMs: config.aggregatorTimeoutMs,
    maxMessageBytes,
    ...secured,
  });
  const runner = createOnnxRunner();
  const revisions = new Revisions(
    {
      open: openBundle,
      bytes: ({ manifest }) => bytesUnder(manifest, 'router/'),
      prepare: (bundle) => loadRouterModel(bundle, runner),
    },
    config.maxBundleBytes,
  );
  const router = new Router({
    revisions,
    admission: new Admission(config),
    quotas: new Quotas(),
    peers: { expert: expert.call, aggregator: aggregator.call },
    chunkLimits: { maxCandidates: config.chunkCandidates, maxBytes: config.chunkBytes },
    maxCandidates: config.maxCandidates,
  });
  return createHost(config, {
    revisions,
    bindings: [bindRewardService(router, revisions, config)],
    taskNames: ({ labels }) => labels,
    maxMessageBytes: config.maxMessageBytes,
    peersReady: async () => {
      const deadline = Date.now() + config.peersTimeoutMs;
      await Promise.all([expert.waitForReady(deadline), aggregator.waitForReady(deadline)]);
    },
    close: async () => {
      expert.close();
      aggregator.close();
      await runner[Symbol.asyncDispose]();
    },
  });
}

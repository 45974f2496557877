import { bytesUnder } from '@dmoerm/bundle';
import { createOnnxRunner } from '@dmoerm/onnx';
import { aggregatorV1 } from '@dmoerm/protos';
import { Admission, Quotas, Revisions, createHost, peerTls } from '@dmoerm/serving';
import type { RevisionSource, Service } from '@dmoerm/serving';
import type { RouterConfig } from './config';
import { ExpertPools } from './expert-pools';
import { bindRewardService } from './handler';
import { Router } from './router';
import { Replicas } from './replicas/replicas';
import { loadRouterModel } from './router-model';
import { Shadow } from './shadow';
import { bindShadowService } from './shadow-service';

/** Without experts there is no reward: a restart is waited for. */
const EXPERTS_AWAY_MS = 5_000;
/** Without an aggregator there is the lesser rule. */
const AGGREGATORS_AWAY_MS = 1_000;

/** The router service: the public API in front of experts and aggregator. */
export function createRouterService(
  config: RouterConfig,
  openBundle: RevisionSource<unknown>['open'],
): Service {
  const { peerMessageBytes: maxMessageBytes } = config;
  const { expertTimeoutMs, aggregatorTimeoutMs, silenceMs } = config;
  const hedgeShare = config.hedgePercent / 100;
  const common = { maxMessageBytes, silenceMs, hedgeShare, tls: peerTls(config) };
  const experts = new ExpertPools(
    { rest: config.expert, tasks: config.taskExperts },
    { ...common, peer: 'expert', timeoutMs: expertTimeoutMs, awayMs: EXPERTS_AWAY_MS, keepLast: true },
  );
  const aggregators = new Replicas(aggregatorV1.AggregatorServiceService, {
    ...common,
    peer: 'aggregator',
    target: config.aggregator,
    timeoutMs: aggregatorTimeoutMs,
    awayMs: AGGREGATORS_AWAY_MS,
    keepLast: false,
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
    peers: {
      evaluate: (request, context) => experts.evaluate(request, context),
      aggregate: (request, context) =>
        aggregators.call((calls, options) => calls.aggregate(request, options), 1, context),
    },
    chunkLimits: { maxCandidates: config.chunkCandidates, maxBytes: config.chunkBytes },
    maxCandidates: config.maxCandidates,
    evaluationEvents: config.evaluationEvents,
  });
  const shadow = new Shadow({
    scoreAll: (requests, context) => router.scoreAll(requests, context),
    requireResident: (revision) => revisions.pin(revision)[Symbol.dispose](),
  });
  return createHost(config, {
    revisions,
    bindings: [bindRewardService(router, revisions, config, shadow), bindShadowService(shadow)],
    taskNames: ({ labels }) => labels,
    maxMessageBytes: config.maxMessageBytes,
    peersReady: async () => {
      const deadline = Date.now() + config.peersTimeoutMs;
      await Promise.all([experts.waitForReady(deadline), aggregators.waitForReady(deadline)]);
    },
    close: async () => {
      experts.close();
      aggregators.close();
      await runner[Symbol.asyncDispose]();
    },
  });
}

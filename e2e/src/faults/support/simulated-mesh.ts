import { openBundle } from '@dmoerm/bundle';
import { loadConfig } from '@dmoerm/config';
import { loadModel } from '@dmoerm/model';
import { rewardV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import type { RpcClient } from '@dmoerm/rpc';
import { AGGREGATOR_CONFIG, createAggregatorService } from '@dmoerm/service-aggregator';
import { EXPERT_CONFIG, createExpertService } from '@dmoerm/service-expert';
import { ROUTER_CONFIG, createRouterService } from '@dmoerm/service-router';
import { logger } from '@dmoerm/telemetry';
import { openTokenizer } from '@dmoerm/tokenizer';
import { startMesh } from '@dmoerm/testing';
import type { MeshPart } from '@dmoerm/testing';
import { createForgetfulRelay } from './forgetful-relay';
import { createSimulatedEngine } from './simulated-engine';
import type { SimulatedEngine } from './simulated-engine';
import { createSpecFolder } from './spec-folder';

/** A mesh in this process whose expert takes simulated time. */
export interface SimulatedMesh extends AsyncDisposable {
  readonly engine: SimulatedEngine;
  /** The router, without the retries of `@dmoerm/client`. */
  readonly router: RpcClient<typeof rewardV1.RewardServiceService>;
  /** A candidate's tokens, as the engine gets them. */
  readonly candidateTokens: (text: string) => readonly number[];
}

/** How it is set up. */
export interface SimulatedMeshOptions {
  readonly msPerRow: number;
  readonly expertFlags: readonly string[];
  /** Puts a `createForgetfulRelay` between router and expert. */
  readonly forgetful: boolean;
}

/** Starts router, expert and aggregator over loopback gRPC, with the spec bundle. */
export async function startSimulatedMesh(options: SimulatedMeshOptions): Promise<SimulatedMesh> {
  const { level } = logger;
  logger.level = 'silent';
  const folder = await createSpecFolder();
  const open = (reference: string) => openBundle(reference, { cacheDir: folder.path });
  const bundle = await open(folder.bundle);
  const engine = await createSimulatedEngine(bundle.basePath, options.msPerRow);
  const { template } = await openTokenizer(bundle.basePath);
  const common = ['--bundle', folder.bundle, '--lame-duck-ms', '0', '--grace-ms', '3000'];
  const settings = (...flags: readonly string[]) => ({ argv: [...common, ...flags], env: {} });
  const expertConfig = loadConfig(EXPERT_CONFIG, settings(...options.expertFlags));
  const prepare = (of: typeof bundle) => loadModel(of, { engine });
  const expert = createExpertService(expertConfig, { open, bytes: () => 1, prepare });
  const mesh = await startMesh({
    expert: () => (options.forgetful ? behindRelay(expert) : expert),
    aggregator: () => createAggregatorService(loadConfig(AGGREGATOR_CONFIG, settings()), open),
    router: (peers) => {
      const flags = ['--expert', peers.expert, '--aggregator', peers.aggregator];
      return createRouterService(loadConfig(ROUTER_CONFIG, settings(...flags)), open);
    },
  });
  const router = connect(rewardV1.RewardServiceService, { target: mesh.addresses.router });
  return {
    engine,
    router,
    candidateTokens: template.candidateTokens,
    [Symbol.asyncDispose]: async () => {
      router.close();
      await mesh[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
      logger.level = level;
    },
  };
}

function behindRelay(expert: MeshPart): MeshPart {
  let relay: MeshPart | null = null;
  return {
    start: async () => {
      const { address } = await expert.start();
      relay = createForgetfulRelay(address);
      return relay.start();
    },
    ready: () => expert.ready(),
    stop: async () => {
      await relay?.stop();
      await expert.stop();
    },
  };
}

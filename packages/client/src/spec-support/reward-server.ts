import { invalidArgument } from '@dmoerm/core';
import type { DmoermError } from '@dmoerm/core';
import { rewardV1 } from '@dmoerm/protos';
import { DEFAULT_LIMITS, bindService, startServer, toStatus } from '@dmoerm/rpc';

/** What a request to it may hold. */
export const LIMITS = { maxItems: 3, maxCandidates: 8, maxTokens: 512, maxMessageBytes: 1000 };
/** How it routes everything. */
export const ROUTE = {
  task: 'chat',
  probability: 0.75,
  distribution: [{ task: 'chat', probability: 0.75 }],
  fallback: false,
};

/** A router's API on loopback: a reward is the candidate's length, an empty candidate is an error. */
export interface RewardServer extends AsyncDisposable {
  readonly address: string;
  /** Every batch so far. */
  readonly batches: rewardV1.ScoreRequest[][];
  /** Runs before each answer; throw to fail the call, wait to be slow. */
  before: (items: rewardV1.ScoreRequest[], signal: AbortSignal) => Promise<void> | void;
  /** Why an item of a batch has no answer; null: it has one. */
  refuse: (item: rewardV1.ScoreRequest) => DmoermError | null;
  /** Changes an answer before it is sent. */
  spoil: (response: rewardV1.BatchScoreResponse) => void;
  /** As it was at the start. */
  reset(): void;
}

/** Starts one. */
export async function startRewardServer(limits: rewardV1.Limits = LIMITS): Promise<RewardServer> {
  const service = bindService(rewardV1.RewardServiceService, {
    score: async (request, { signal }) => {
      await self.before([request], signal);
      return respond(request, 0, false);
    },
    batchScore: async ({ items }, { signal }) => {
      self.batches.push(items);
      await self.before(items, signal);
      const response = { results: items.map(toResult) };
      self.spoil(response);
      return response;
    },
    streamScore: async function* () {
      yield* [];
    },
    route: async () => ({ route: ROUTE, revision: 'r' }),
    getModel: async () => ({
      name: 'spec',
      revision: 'r',
      base: 'b',
      tasks: [{ name: 'chat', capabilities: ['logic'], plan: 'full' }],
      limits,
    }),
  });
  const toResult = (item: rewardV1.ScoreRequest, i: number): rewardV1.ItemResult => {
    const error = self.refuse(item);
    return error === null
      ? { outcome: { $case: 'response', value: respond(item, i, true) } }
      : { outcome: { $case: 'error', value: toStatus(error.under(`items[${i}]`)) } };
  };
  const server = await startServer({
    address: '127.0.0.1:0',
    services: [service],
    healthServices: [],
    reflection: false,
    limits: DEFAULT_LIMITS,
    drain: { lameDuckMs: 0, graceMs: 2000 },
  });
  const self: RewardServer = {
    address: server.address,
    batches: [],
    before: () => undefined,
    refuse: () => null,
    spoil: () => undefined,
    reset: () => {
      self.batches.length = 0;
      self.before = () => undefined;
      self.refuse = () => null;
      self.spoil = () => undefined;
    },
    [Symbol.asyncDispose]: () => server.drain(),
  };
  return self;
}

/** Errors name the candidate as a router does: in a batch, with its item. */
function respond(
  { candidates }: rewardV1.ScoreRequest,
  item: number,
  inBatch: boolean,
): rewardV1.ScoreResponse {
  const results = candidates.map((text, i): rewardV1.CandidateResult => {
    const error = invalidArgument(`candidates[${i}]`, 'EMPTY_CANDIDATE', 'the candidate is empty');
    if (text === '')
      return {
        outcome: { $case: 'error', value: toStatus(inBatch ? error.under(`items[${item}]`) : error) },
      };
    const value = rewardV1.Score.fromPartial({
      reward: text.length,
      capabilities: [{ name: 'logic', score: 1, contribution: 2 }],
      uncertainty: { experts: 0.5, heads: 0.25 },
      route: ROUTE,
      tokenCount: 9,
    });
    return { outcome: { $case: 'score', value } };
  });
  const timings = { queueNs: 1n, engineNs: 2n, aggregateNs: 3n, totalNs: 4n };
  return { results, revision: 'r', digests: undefined, timings };
}

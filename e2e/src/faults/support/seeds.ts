import { connect } from '@dmoerm/rpc';
import { aggregatorV1, bundleV1, commonV1, expertV1, rewardV1 } from '@dmoerm/protos';
import type { Served } from '../../serve';

/** A method of a running mesh with real requests to it. */
export interface Target {
  readonly address: string;
  readonly path: string;
  readonly messages: readonly Uint8Array[];
  readonly decodeRequest: (bytes: Buffer) => unknown;
  readonly decodeResponse: (bytes: Buffer) => unknown;
}

interface Method {
  readonly path: string;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseDeserialize: (bytes: Buffer) => unknown;
}

/** Requests as clients send them, to every method of the mesh that takes one; what services ask each other is asked for real. */
export async function seedRequests({ router, expert, aggregator }: Served['addresses']): Promise<Target[]> {
  const items = scoreRequests();
  const target = (address: string, method: Method, messages: readonly Uint8Array[]): Target => ({
    address,
    path: method.path,
    messages,
    decodeRequest: method.requestDeserialize,
    decodeResponse: method.responseDeserialize,
  });
  const { RewardServiceService: reward } = rewardV1;
  const { BundleServiceService: bundles } = bundleV1;
  const { evaluate, aggregate, revision } = await innerRequests(router, expert);
  const reference = Buffer.from(
    bundleV1.LoadBundleRequest.encode({ reference: revision, pinned: false }).finish(),
  );
  return [
    target(
      router,
      reward.score,
      items.map((one) => rewardV1.ScoreRequest.encode(one).finish()),
    ),
    target(router, reward.batchScore, [rewardV1.BatchScoreRequest.encode({ items }).finish()]),
    target(router, reward.streamScore, [
      rewardV1.StreamScoreRequest.encode({ itemId: 'a', item: items[0] }).finish(),
    ]),
    target(router, reward.route, [rewardV1.RouteRequest.encode({ prompt: items[0]?.prompt }).finish()]),
    target(router, reward.getModel, [Buffer.from('0a0161', 'hex')]),
    target(expert, expertV1.ExpertServiceService.evaluate, [
      expertV1.EvaluateRequest.encode(evaluate).finish(),
    ]),
    target(aggregator, aggregatorV1.AggregatorServiceService.aggregate, [
      aggregatorV1.AggregateRequest.encode(aggregate).finish(),
    ]),
    ...[router, expert, aggregator].flatMap((address) => [
      target(address, bundles.loadBundle, [reference]),
      target(address, bundles.activateBundle, [reference]),
      target(address, bundles.unloadBundle, [reference]),
    ]),
  ];
}

function scoreRequests(): rewardV1.ScoreRequest[] {
  const messages = [
    { role: commonV1.Role.SYSTEM, content: 'be brief' },
    { role: commonV1.Role.USER, content: 'hello, tell me of rivers' },
  ];
  return [
    rewardV1.ScoreRequest.fromPartial({
      prompt: { $case: 'conversation', value: { messages } },
      candidates: ['they bend', 'they flow to the sea', ''],
    }),
    rewardV1.ScoreRequest.fromPartial({
      prompt: { $case: 'text', value: 'a query of a verse' },
      candidates: ['x'],
      options: {
        routing: rewardV1.Routing.FORCED,
        task: 'qa',
        aggregation: rewardV1.Aggregation.UNCERTAINTY_WEIGHTED,
        lambda: 0.5,
        truncation: commonV1.Truncation.KEEP_END,
        capabilities: ['truth'],
      },
    }),
  ];
}

/** What the router would ask expert and aggregator. */
async function innerRequests(
  router: string,
  expert: string,
): Promise<{
  evaluate: expertV1.EvaluateRequest;
  aggregate: aggregatorV1.AggregateRequest;
  revision: string;
}> {
  const front = connect(rewardV1.RewardServiceService, { target: router });
  const back = connect(expertV1.ExpertServiceService, { target: expert });
  try {
    const { revision } = await front.call.getModel({});
    const evaluate = expertV1.EvaluateRequest.fromPartial({
      task: 'chat',
      revision,
      items: [{ prompt: scoreRequests()[0]?.prompt, candidates: ['yes', 'no'] }],
    });
    const { results } = await back.call.evaluate(evaluate);
    const [first] = results[0]?.candidates ?? [];
    if (first?.outcome?.$case !== 'outputs')
      throw new Error(`the expert gave no outputs: ${JSON.stringify(first)}`);
    const { embeddings, scores } = first.outcome.value;
    const one = (tensor: commonV1.Tensor | undefined): commonV1.Tensor =>
      commonV1.Tensor.fromPartial({ ...tensor, shape: [1n, ...(tensor?.shape ?? [])] });
    const aggregate = aggregatorV1.AggregateRequest.fromPartial({
      task: 'chat',
      revision,
      embeddings: one(embeddings),
      scores: one(scores),
      rule: aggregatorV1.AggregationRule.LEARNED,
    });
    return { evaluate, aggregate, revision };
  } finally {
    front.close();
    back.close();
  }
}

import { invalidArgument } from '@dmoerm/core';
import { rewardV1 } from '@dmoerm/protos';
import { bindService, toStatus } from '@dmoerm/rpc';
import type { ServiceBinding } from '@dmoerm/rpc';
import type { Revisions } from '@dmoerm/serving';
import { parsePrompt } from './item';
import { toRoute } from './response';
import type { ItemOutcome, Router } from './router';
import type { Shadow } from './shadow';
import type { RouterModel } from './router-model';
import { answerStream } from './stream';

/** What a request may hold. */
export interface RequestLimits {
  readonly maxItems: number;
  readonly maxCandidates: number;
  readonly maxMessageBytes: number;
  /** Items of one stream that are under way at once. */
  readonly streamWindow: number;
}

/** `dmoerm.reward.v1.RewardService`. */
export function bindRewardService(
  router: Router,
  revisions: Revisions<RouterModel>,
  limits: RequestLimits,
  shadow: Pick<Shadow, 'offer'>,
): ServiceBinding {
  const scoreAll: Router['scoreAll'] = async (requests, context, locate) => {
    const outcomes = await router.scoreAll(requests, context, locate);
    shadow.offer(requests, outcomes);
    return outcomes;
  };
  return bindService(
    rewardV1.RewardServiceService,
    {
      score: async (request, context) => {
        const response = await router.scoreOne(request, context);
        shadow.offer([request], [{ type: 'response', response }]);
        return response;
      },
      batchScore: async ({ items }, context) => {
        if (items.length > limits.maxItems)
          throw invalidArgument(
            'items',
            'TOO_MANY_ITEMS',
            `at most ${limits.maxItems} items per call, not ${items.length}`,
          );
        return { results: (await scoreAll(items, context)).map(toResult) };
      },
      streamScore: async function* (requests, context) {
        const scoreItems = (items: readonly rewardV1.ScoreRequest[]) =>
          scoreAll(items, context, () => (error) => error.under('item'));
        for await (const { itemId, outcome } of answerStream(requests, scoreItems, limits.streamWindow))
          yield { itemId, result: toResult(outcome) };
      },
      route: async ({ prompt }) => {
        const { decision, revision } = await router.classify(parsePrompt(prompt));
        return { route: toRoute(decision, decision.assignments[0]?.task ?? ''), revision };
      },
      getModel: async () => {
        using lease = revisions.pin();
        return describe(lease.value, lease.revision, limits);
      },
    },
    ['trainer', 'operator', 'service'],
  );
}

function toResult(outcome: ItemOutcome): rewardV1.ItemResult {
  return outcome.type === 'response'
    ? { outcome: { $case: 'response', value: outcome.response } }
    : { outcome: { $case: 'error', value: toStatus(outcome.error) } };
}

function describe(model: RouterModel, revision: string, limits: RequestLimits): rewardV1.GetModelResponse {
  const { maxItems, maxCandidates, maxMessageBytes } = limits;
  return {
    name: model.name,
    revision,
    tasks: model.tasks.map(({ name, capabilities, plan }) => ({
      name,
      capabilities: [...capabilities],
      plan,
    })),
    limits: { maxItems, maxCandidates, maxTokens: model.maxTokens, maxMessageBytes },
    base: model.baseDigest,
  };
}

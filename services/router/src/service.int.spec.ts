import { loadConfig } from '@dmoerm/config';
import { bundleV1, commonV1, rewardV1 } from '@dmoerm/protos';
import type { aggregatorV1, expertV1 } from '@dmoerm/protos';
import { connect, createToken, digestToken, fromStatus } from '@dmoerm/rpc';
import type { RpcClient } from '@dmoerm/rpc';
import type { Service } from '@dmoerm/serving';
import { logger, metrics } from '@dmoerm/telemetry';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROUTER_CONFIG } from './config';
import { createRouterService } from './service';
import { writeSpecBundle } from './spec-bundle';
import { TEXTS, startSpecAggregator, startSpecExpert, unavailable } from './spec-peers';
import type { SpecPeer } from './spec-peers';

const REVISION = 'a'.repeat(64);
const { Routing, Aggregation } = rewardV1;

let directory: string;
let expert: SpecPeer<expertV1.EvaluateRequest>;
let aggregator: SpecPeer<aggregatorV1.AggregateRequest>;
let service: Service;
let client: RpcClient<typeof rewardV1.RewardServiceService>;
let bundles: RpcClient<typeof bundleV1.BundleServiceService>;

beforeAll(async () => {
  logger.level = 'silent';
  directory = await mkdtemp(join(tmpdir(), 'dmoerm-router-'));
  expert = await startSpecExpert();
  aggregator = await startSpecAggregator();
  ({ service, client, bundles } = await start());
});
afterAll(async () => {
  client.close();
  bundles.close();
  await service.stop();
  await Promise.all([expert[Symbol.asyncDispose](), aggregator[Symbol.asyncDispose]()]);
  await rm(directory, { recursive: true });
});
beforeEach(() => {
  for (const peer of [expert, aggregator]) {
    peer.requests.length = 0;
    peer.before = () => undefined;
  }
});

async function start(...argv: string[]) {
  const flags = ['--expert', expert.address, '--aggregator', aggregator.address, '--bundle', REVISION];
  const config = loadConfig(ROUTER_CONFIG, { argv: [...flags, '--lame-duck-ms', '0', ...argv], env: {} });
  const started = createRouterService(config, (revision) => writeSpecBundle(directory, revision));
  const { address: target } = await started.start();
  return {
    address: target,
    service: started,
    client: connect(rewardV1.RewardServiceService, { target }),
    bundles: connect(bundleV1.BundleServiceService, { target }),
  };
}

/** An item whose prompt says `words`. */
function item(
  words: string,
  candidates: string[],
  options: Partial<rewardV1.ScoreOptions> = {},
): rewardV1.ScoreRequest {
  return rewardV1.ScoreRequest.fromPartial({
    prompt: { $case: 'conversation', value: { messages: [{ role: commonV1.Role.USER, content: words }] } },
    candidates,
    options,
  });
}

const turns = (...messages: [commonV1.Role, string][]): rewardV1.ScoreRequest['prompt'] => ({
  $case: 'conversation',
  value: { messages: messages.map(([role, content]) => ({ role, content })) },
});

function scores({ results }: rewardV1.ScoreResponse): rewardV1.Score[] {
  return results.map(({ outcome }) => {
    if (outcome?.$case !== 'score') throw new Error('a candidate has no score');
    return outcome.value;
  });
}

/** Outcomes as words: rewards, or errors as reason and field. */
function outcomes({ results }: rewardV1.BatchScoreResponse): unknown[] {
  return results.map(({ outcome }) => {
    if (outcome?.$case === 'error') return describeError(outcome.value);
    return outcome?.value.results.map((one) =>
      one.outcome?.$case === 'error' ? describeError(one.outcome.value) : one.outcome?.value.reward,
    );
  });
}

function describeError(status: Parameters<typeof fromStatus>[0]): string {
  const { reason, field } = fromStatus(status);
  return `${reason} ${field}`;
}

describe('Score', () => {
  it('answers with reward, capabilities, uncertainty, route, revision, digests and timings', async () => {
    const response = await client.call.score(item('a query', ['four', 'seventh']));
    const [first, second] = scores(response);
    expect([first?.reward, second?.reward]).toEqual([4, 7]);
    expect(first?.capabilities).toEqual([
      { name: 'truth', score: 4, contribution: 0 },
      { name: 'depth', score: 8, contribution: 1 },
      { name: 'style', score: 12, contribution: 2 },
    ]);
    expect(first).toMatchObject({
      uncertainty: { experts: 1, heads: 2 },
      tokenCount: 4,
      truncated: false,
      degraded: false,
    });
    expect(first?.route).toMatchObject({ task: 'qa', fallback: false });
    expect(first?.route?.probability).toBeGreaterThan(0.9);
    expect(response.revision).toBe(REVISION);
    expect(response.digests?.heads).toBe('heads of qa');
    expect(response.timings).toMatchObject({ queueNs: 5n, engineNs: 7n });
    expect(response.timings?.totalNs).toBeGreaterThanOrEqual(response.timings?.aggregateNs ?? 0n);
  });

  it('counts how far experts are apart, and whether longer or shorter responses win', async () => {
    metrics.expertSpread.reset();
    metrics.lengthPairs.reset();
    // Rewards here are lengths; of the pairs of neighbours with a reward one differs in length.
    await client.call.score(
      item('a query', ['four', 'seventh', 'five5', '', 'eight', 'same', 'also', 'odd']),
    );
    expect((await metrics.lengthPairs.get()).values).toEqual([
      { labels: { task: 'qa', preferred: 'longer' }, value: 1 },
    ]);
    const { values } = await metrics.expertSpread.get();
    expect(values.filter(({ metricName }) => !metricName?.endsWith('_bucket'))).toMatchObject([
      { labels: { task: 'qa' }, metricName: 'dmoerm_expert_spread_sum', value: 7 },
      { labels: { task: 'qa' }, metricName: 'dmoerm_expert_spread_count', value: 7 },
    ]);
  });

  it('pins its revision on every hop', async () => {
    await client.call.score(item('hello', ['x']));
    expect([expert.requests[0]?.revision, aggregator.requests[0]?.revision]).toEqual([REVISION, REVISION]);
  });

  it('tells the expert how urgent an item is, and one client from another', async () => {
    const { BACKGROUND, UNSPECIFIED } = commonV1.Priority;
    await client.call.score(item('hello', ['x'], { priority: BACKGROUND }));
    await client.call.score(item('hello', ['x']));
    const target = expert.requests.map(({ items, client: name }) => [items[0]?.priority, name]);
    expect(target).toEqual([
      [BACKGROUND, expect.stringMatching(/:\d+$/)],
      [UNSPECIFIED, target[0]?.[1]],
    ]);
  });

  it('takes the fallback task when the router is not sure, and says so', async () => {
    const [score] = scores(await client.call.score(item('nothing that it knows', ['x'])));
    expect(score?.route).toMatchObject({ task: 'chat', fallback: true });
    expect(score?.route?.probability).toBeCloseTo(1 / 3, 5);
  });

  it('takes the task that the caller forces', async () => {
    const options = { routing: Routing.FORCED, task: 'qa' };
    const [score] = scores(await client.call.score(item('hello', ['x'], options)));
    expect(score?.route).toMatchObject({ task: 'qa', probability: 1, fallback: false });
  });

  it('weights the rewards of two tasks with soft routing', async () => {
    const response = await client.call.score(item('hello, a query', ['four'], { routing: Routing.SOFT }));
    expect(expert.requests.map(({ task }) => task).sort()).toEqual(['chat', 'qa']);
    const [score] = scores(response);
    expect(score?.reward).toBeCloseTo(4, 6);
    expect(score?.capabilities.map(({ name }) => name)).toEqual(['logic', 'tone']);
    expect(score?.capabilities[1]?.contribution).toBeCloseTo(0.5, 2);
    expect(response.timings?.engineNs).toBe(14n);
  });

  it('passes the aggregation on', async () => {
    const response = await client.call.score(item('hello', ['x'], { aggregation: Aggregation.WORST_CASE }));
    expect(scores(response)[0]?.reward).toBe(1003);
    const weighted = { aggregation: Aggregation.UNCERTAINTY_WEIGHTED, lambda: 0.25 };
    await client.call.score(item('hello', ['x'], weighted));
    expect(aggregator.requests[1]?.lambda).toBe(0.25);
  });

  it('answers with the capabilities that were asked for, in that order', async () => {
    const response = await client.call.score(item('a query', ['x'], { capabilities: ['style', 'truth'] }));
    expect(scores(response)[0]?.capabilities.map(({ name }) => name)).toEqual(['style', 'truth']);
  });

  it.each([
    [
      'an unknown task',
      item('hello', ['x'], { routing: Routing.FORCED, task: 'maths' }),
      'NOT_FOUND',
      'UNKNOWN_TASK',
    ],
    [
      'an unknown revision',
      item('hello', ['x'], { revision: 'b'.repeat(64) }),
      'FAILED_PRECONDITION',
      'REVISION_NOT_ACTIVE',
    ],
    ['no candidates', item('hello', []), 'INVALID_ARGUMENT', 'NO_CANDIDATES'],
  ])('fails as a whole with %s', async (_, request, code, reason) => {
    await expect(client.call.score(request)).rejects.toMatchObject({ code, reason });
  });
});

describe('BatchScore', () => {
  const { SYSTEM, USER, ASSISTANT } = commonV1.Role;
  const with_ = (over: Partial<rewardV1.ScoreRequest>): rewardV1.ScoreRequest => ({
    ...item('hello', ['four']),
    ...over,
  });

  it.each([
    ['no prompt', with_({ prompt: undefined }), 'NO_PROMPT items[1].prompt'],
    ['an empty conversation', with_({ prompt: turns() }), 'EMPTY_CONVERSATION items[1].messages'],
    ['an empty text', with_({ prompt: { $case: 'text', value: '' } }), 'EMPTY_PROMPT items[1].text'],
    [
      'an unknown role',
      with_({ prompt: turns([9 as commonV1.Role, 'x']) }),
      'UNKNOWN_ROLE items[1].messages[0].role',
    ],
    ['a role that is not set', with_({ prompt: turns([0, 'x']) }), 'UNKNOWN_ROLE items[1].messages[0].role'],
    ['an empty turn', with_({ prompt: turns([USER, '']) }), 'EMPTY_MESSAGE items[1].messages[0].content'],
    [
      'a late system turn',
      with_({ prompt: turns([USER, 'x'], [SYSTEM, 'y']) }),
      'SYSTEM_NOT_FIRST items[1].messages[1].role',
    ],
    [
      'an answer as last turn',
      with_({ prompt: turns([USER, 'x'], [ASSISTANT, 'y']) }),
      'LAST_NOT_USER items[1].messages[1].role',
    ],
    ['no candidates', with_({ candidates: [] }), 'NO_CANDIDATES items[1].candidates'],
    [
      'too many candidates',
      with_({ candidates: Array(129).fill('x') }),
      'TOO_MANY_CANDIDATES items[1].candidates',
    ],
    [
      'an unknown routing',
      item('x', ['y'], { routing: 9 as rewardV1.Routing }),
      'UNKNOWN_ENUM_VALUE items[1].options.routing',
    ],
    [
      'an unknown aggregation',
      item('x', ['y'], { aggregation: 9 as rewardV1.Aggregation }),
      'UNKNOWN_ENUM_VALUE items[1].options.aggregation',
    ],
    [
      'an unknown truncation',
      item('x', ['y'], { truncation: 9 as commonV1.Truncation }),
      'UNKNOWN_ENUM_VALUE items[1].options.truncation',
    ],
    [
      'an unknown priority',
      item('x', ['y'], { priority: 9 as commonV1.Priority }),
      'UNKNOWN_ENUM_VALUE items[1].options.priority',
    ],
    ['a negative lambda', item('x', ['y'], { lambda: -1 }), 'BAD_LAMBDA items[1].options.lambda'],
    ['a lambda that is no number', item('x', ['y'], { lambda: NaN }), 'BAD_LAMBDA items[1].options.lambda'],
    [
      'forced routing without a task',
      item('x', ['y'], { routing: Routing.FORCED }),
      'NO_TASK items[1].options.task',
    ],
    [
      'a task without forced routing',
      item('x', ['y'], { task: 'qa' }),
      'TASK_NOT_FORCED items[1].options.task',
    ],
    [
      'an unknown task',
      item('x', ['y'], { routing: Routing.FORCED, task: 'maths' }),
      'UNKNOWN_TASK items[1].options.task',
    ],
    [
      'an unknown revision',
      item('x', ['y'], { revision: 'nonsense' }),
      'REVISION_NOT_ACTIVE items[1].revision',
    ],
    [
      'an unknown capability',
      item('hello', ['y'], { capabilities: ['wit'] }),
      'UNKNOWN_CAPABILITY items[1].options.capabilities',
    ],
    ['an empty candidate', item('hello', ['', 'four']), ['EMPTY_CANDIDATE items[1].candidates[0]', 4]],
    [
      'a candidate that is too long',
      item('hello', ['four', TEXTS.long]),
      [4, 'TOO_LONG items[1].candidates[1]'],
    ],
    [
      'a candidate whose expert gives NaN',
      item('hello', [TEXTS.nan, 'four']),
      ['NON_FINITE items[1].candidates[0]', 4],
    ],
  ])('refuses %s and scores the other items as ever', async (_, bad, expected) => {
    const items = [item('hello', ['four']), bad, item('a query', ['x', 'seventh'])];
    expect(outcomes(await client.call.batchScore({ items }))).toEqual([[4], expected, [1, 7]]);
  });

  it('answers no items with no results', async () => {
    expect((await client.call.batchScore({ items: [] })).results).toEqual([]);
  });

  it('refuses more items than it says it takes', async () => {
    const { limits } = await client.call.getModel({});
    const items = Array.from({ length: (limits?.maxItems ?? 0) + 1 }, () => item('hello', ['x']));
    await expect(client.call.batchScore({ items })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'TOO_MANY_ITEMS',
      field: 'items',
    });
  });

  it('sends the items of one task together, in chunks, and answers in order', async () => {
    const items = Array.from({ length: 100 }, (_, i) =>
      item(i % 2 === 0 ? 'hello' : 'a query', ['x'.repeat(i + 1)]),
    );
    const expected = items.map((_, i) => [i + 1]);
    expect(outcomes(await client.call.batchScore({ items }))).toEqual(expected);
    expect(expert.requests.map(({ task }) => task).sort()).toEqual(['chat', 'qa']);
    const many = Array.from({ length: 100 }, () => item('hello', ['x', 'y']));
    await client.call.batchScore({ items: many });
    expect(expert.requests).toHaveLength(2 + 4);
  });

  it('keeps the rewards of one task when the expert of another is dead', async () => {
    expert.before = ({ task }) => {
      if (task === 'qa') throw unavailable();
    };
    const items = [item('hello', ['four']), item('a query', ['x'])];
    expect(outcomes(await client.call.batchScore({ items }))).toEqual([
      [4],
      expect.stringContaining('items[1]'),
    ]);
  });

  it('fails as a whole with UNAVAILABLE when the expert is dead', async () => {
    expert.before = () => {
      throw unavailable();
    };
    const items = [item('hello', ['x']), item('a query', ['x'])];
    await expect(client.call.batchScore({ items })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('passes the deadline on and stops when it is over', async () => {
    // The test before leaves the expert ejected; this finds it well.
    await client.call.score(item('hello', ['x']));
    let aborted = false;
    expert.before = (_, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          aborted = true;
          resolve();
        });
      });
    const call = client.call.batchScore({ items: [item('hello', ['x'])] }, { timeoutMs: 100 });
    await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    while (!aborted) await new Promise((resolve) => setImmediate(resolve));
  });

  it('refuses an answer of other weights than the revision has', async () => {
    const forged = await startSpecExpert();
    forged.before = (request) => {
      Object.assign(request, { task: 'poem' });
    };
    const other = await start('--expert', forged.address);
    try {
      await expect(other.client.call.score(item('hello', ['x']))).rejects.toMatchObject({
        reason: 'REVISION_MISMATCH',
      });
    } finally {
      other.client.close();
      other.bundles.close();
      await other.service.stop();
      await forged[Symbol.asyncDispose]();
    }
  });
});

describe('a missing aggregator', () => {
  // Scores of a candidate of 4 characters: 4 and 8, with means 0 and 1 and deviations of 2.
  const LESSER = { reward: (2 + 3.5) / 2, degraded: true, uncertainty: { experts: 0.75, heads: 0 } };

  it('gives a degraded reward, the mean of the standardised scores, when it is dead', async () => {
    aggregator.before = () => {
      throw unavailable();
    };
    const [score] = scores(await client.call.score(item('hello', ['four'])));
    expect(score).toMatchObject(LESSER);
    expect(score?.capabilities.map(({ contribution }) => contribution)).toEqual([1, 1.75]);
  });

  it('gives the same when it does not answer in time', async () => {
    const hanging = await start('--aggregator-timeout-ms', '100');
    aggregator.before = (_, signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
    const [score] = scores(await hanging.client.call.score(item('hello', ['four'])));
    expect(score).toMatchObject(LESSER);
    hanging.client.close();
    hanging.bundles.close();
    await hanging.service.stop();
  });

  it('gives the same for a task that has none in the bundle', async () => {
    const [score] = scores(await client.call.score(item('a verse', ['four'])));
    expect(score).toMatchObject({ reward: 2, degraded: true });
    expect(aggregator.requests).toEqual([]);
  });

  it('is not taken for missing when it refuses: its error is the answer', async () => {
    aggregator.before = () => {
      throw new Error('a bug');
    };
    await expect(client.call.score(item('hello', ['four']))).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

describe('a missing expert', () => {
  it('leaves the reward of the other task with soft routing, alone and degraded', async () => {
    expert.before = ({ task }) => {
      if (task === 'qa') throw unavailable();
    };
    const [score] = scores(
      await client.call.score(item('hello, a query', ['four'], { routing: Routing.SOFT })),
    );
    expect(score).toMatchObject({ reward: 4, degraded: true, route: { task: 'chat' } });
  });

  it('is an error and no number where no other task has a share', async () => {
    expert.before = () => {
      throw unavailable();
    };
    await expect(client.call.score(item('hello', ['four']))).rejects.toMatchObject({ reason: 'NO_REPLICA' });
    // The router's own attempts: its caller was told to make none.
    expect(expert.requests).toHaveLength(4);
  });
});

describe('experts of single tasks', () => {
  it('are asked for theirs, and the others for all the rest', async () => {
    await using qa = await startSpecExpert();
    const split = await start('--task-experts', `{qa: "${qa.address}"}`);
    try {
      await split.service.ready();
      const items = [item('a query', ['four']), item('hello', ['x'])];
      const response = await split.client.call.batchScore({ items });
      expect(outcomes(response)).toEqual([[4], [1]]);
      expect(qa.requests.map(({ task }) => task)).toEqual(['qa']);
      expect(expert.requests.map(({ task }) => task)).toEqual(['chat']);
    } finally {
      split.client.close();
      split.bundles.close();
      await split.service.stop();
    }
  });

  it('are waited for at the start', async () => {
    const split = await start('--task-experts', '{qa: "127.0.0.1:1"}', '--peers-timeout-ms', '500');
    try {
      await expect(split.service.ready()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    } finally {
      split.client.close();
      split.bundles.close();
      await split.service.stop();
    }
  });
});

describe('overload', () => {
  it('refuses what exceeds the items in flight with QUEUE_FULL and RetryInfo, and recovers', async () => {
    const small = await start('--max-in-flight-items', '3');
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    expert.before = () => held;
    const items = [item('hello', ['x']), item('hello', ['x'])];
    const first = small.client.call.batchScore({ items });
    while (expert.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await expect(small.client.call.batchScore({ items })).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'QUEUE_FULL',
      retryAfterMs: 500,
    });
    release();
    expect(outcomes(await first)).toEqual([[1], [1]]);
    expect(outcomes(await small.client.call.batchScore({ items }))).toEqual([[1], [1]]);
    small.client.close();
    small.bundles.close();
    await small.service.stop();
  });
});

describe('a quota', () => {
  it('stops the identity that has used it up, says when to come back, and stops nobody else', async () => {
    const [greedy, modest] = [createToken(), createToken()];
    const identity = (name: string, token: string) => ({
      name,
      role: 'trainer',
      token_sha256: [digestToken(token)],
      items_per_second: 1,
    });
    const accessFile = join(directory, 'access.yaml');
    const identities = [identity('greedy', greedy), identity('modest', modest)];
    await writeFile(accessFile, JSON.stringify({ identities }));
    const guarded = await start('--access-file', accessFile);
    const callers = [greedy, modest].map((token) =>
      connect(rewardV1.RewardServiceService, { target: guarded.address, token }),
    );
    try {
      const items = Array.from({ length: 60 }, () => item('hello', ['x']));
      const [first, second] = callers as [typeof client, typeof client];
      await first.call.batchScore({ items });
      const refusal = await first.call.score(item('hello', ['x'])).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'QUOTA_EXCEEDED' });
      // 60 items at 1 per second, of which 10 seconds may be used at once.
      const { retryAfterMs } = refusal as { retryAfterMs: number };
      expect(retryAfterMs).toBeGreaterThan(30_000);
      expect(retryAfterMs).toBeLessThanOrEqual(50_000);
      await expect(second.call.score(item('hello', ['x']))).resolves.toBeDefined();
      await expect(guarded.client.call.score(item('hello', ['x']))).rejects.toMatchObject({
        code: 'UNAUTHENTICATED',
      });
    } finally {
      for (const caller of [...callers, guarded.client, guarded.bundles]) caller.close();
      await guarded.service.stop();
    }
  });
});

describe('StreamScore', () => {
  async function* stream(
    n: number,
    name = (i: number) => `id ${i}`,
  ): AsyncGenerator<rewardV1.StreamScoreRequest> {
    for (let i = 0; i < n; i++)
      yield { itemId: name(i), item: item(i === 3 ? '' : 'hello', ['x'.repeat(i + 1)]) };
  }

  async function collect(
    requests: AsyncIterable<rewardV1.StreamScoreRequest>,
  ): Promise<Map<string, unknown>> {
    const answers = new Map<string, unknown>();
    for await (const { itemId, result } of client.call.streamScore(requests))
      answers.set(itemId, outcomes({ results: result === undefined ? [] : [result] })[0]);
    return answers;
  }

  it('answers every item by its id, the bad one with an error', async () => {
    const answers = await collect(stream(200));
    expect(answers.size).toBe(200);
    expect(answers.get('id 3')).toBe('EMPTY_MESSAGE item.messages[0].content');
    expect(answers.get('id 199')).toEqual([200]);
    expect(expert.requests.length).toBeLessThan(190);
  });

  it('reads no more than its window while nothing is answered', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    expert.before = () => held;
    const answers = collect(stream(500));
    let sent = -1;
    while (sent !== expert.requests.length || sent < 1) {
      sent = expert.requests.length;
      for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    const items = expert.requests.reduce((sum, request) => sum + request.items.length, 0);
    expect(items).toBeLessThanOrEqual(64);
    release();
    expect((await answers).size).toBe(500);
  });

  it.each([
    ['no id', ''],
    ['an id that is too long', 'x'.repeat(129)],
  ])('refuses an item with %s', async (_, id) => {
    expect((await collect(stream(1, () => id))).get(id)).toBe('BAD_ITEM_ID item_id');
  });
});

describe('Route and GetModel', () => {
  it('classifies without scoring', async () => {
    const { route, revision } = await client.call.route({ prompt: turns([commonV1.Role.USER, 'a verse']) });
    expect(route?.task).toBe('poem');
    expect(route?.distribution).toHaveLength(3);
    expect(revision).toBe(REVISION);
    expect(expert.requests).toEqual([]);
  });

  it('refuses to classify nothing', async () => {
    await expect(client.call.route({ prompt: undefined })).rejects.toMatchObject({ reason: 'NO_PROMPT' });
  });

  it('describes tasks, capabilities and limits', async () => {
    const model = await client.call.getModel({});
    expect(model).toMatchObject({ name: 'spec', revision: REVISION, base: 'base' });
    expect(model.tasks[2]).toEqual({ name: 'poem', capabilities: ['rhyme'], plan: 'readout' });
    expect(model.limits).toEqual({
      maxItems: 256,
      maxCandidates: 128,
      maxTokens: 512,
      maxMessageBytes: 8388608,
    });
  });
});

describe('revisions', () => {
  it('answers from the pinned revision, before and after a swap', async () => {
    const other = 'c'.repeat(64);
    await bundles.call.loadBundle({ reference: other, pinned: false });
    expect((await client.call.score(item('hello', ['x'], { revision: other }))).revision).toBe(other);
    expect((await client.call.score(item('hello', ['x']))).revision).toBe(REVISION);
    await bundles.call.activateBundle({ revision: other });
    expect((await client.call.score(item('hello', ['x']))).revision).toBe(other);
    expect((await client.call.score(item('hello', ['x'], { revision: REVISION }))).revision).toBe(REVISION);
    await bundles.call.activateBundle({ revision: REVISION });
    await bundles.call.unloadBundle({ revision: other });
    await expect(client.call.score(item('hello', ['x'], { revision: other }))).rejects.toMatchObject({
      reason: 'REVISION_NOT_ACTIVE',
    });
  });
});

import { loadConfig } from '@dmoerm/config';
import { aggregatorV1 } from '@dmoerm/protos';
import { connect, fromStatus } from '@dmoerm/rpc';
import type { RpcClient } from '@dmoerm/rpc';
import { toTensor } from '@dmoerm/serving';
import type { Service } from '@dmoerm/serving';
import { logger } from '@dmoerm/telemetry';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGGREGATOR_CONFIG } from './config';
import { createAggregatorService } from './service';
import { MLP_SHAPE, noise } from '@dmoerm/testing';
import { writeSpecBundle } from './spec-bundle';

const { experts, hiddenSize } = MLP_SHAPE;
const width = experts * hiddenSize;
const REVISION = 'a'.repeat(64);
const { LEARNED, MEAN, WORST_CASE, UNCERTAINTY_WEIGHTED } = aggregatorV1.AggregationRule;

/** A request for `n` candidates; their scores are 0, 1, 2, ... for each expert. */
function request(
  n: number,
  over: Partial<aggregatorV1.AggregateRequest> = {},
): aggregatorV1.AggregateRequest {
  const embeddings = Float32Array.from(Array.from({ length: n }, (_, i) => [...noise(width, i)]).flat());
  const scores = Float32Array.from({ length: n * experts }, (_, i) => Math.floor(i / experts));
  return {
    task: 'chat',
    revision: REVISION,
    embeddings: toTensor(embeddings, [n, experts, hiddenSize]),
    scores: toTensor(scores, [n, experts]),
    rule: LEARNED,
    lambda: 0.5,
    ...over,
  };
}

describe('the aggregator service', () => {
  let directory: string;
  let service: Service;
  let client: RpcClient<typeof aggregatorV1.AggregatorServiceService>;

  beforeAll(async () => {
    logger.level = 'silent';
    directory = await mkdtemp(join(tmpdir(), 'dmoerm-aggregator-'));
    const bundle = await writeSpecBundle(directory, REVISION);
    const config = loadConfig(AGGREGATOR_CONFIG, { argv: ['--lame-duck-ms', '0'], env: {} });
    service = createAggregatorService(config, async () => bundle);
    const { address } = await service.start();
    await service.ready();
    client = connect(aggregatorV1.AggregatorServiceService, { target: address });
  });
  afterAll(async () => {
    client.close();
    await service.stop();
    await rm(directory, { recursive: true });
  });

  it('gives each candidate the same reward, to the bit, in calls of 1 to 70 candidates', async () => {
    const { results } = await client.call.aggregate(request(70));
    for (const n of [1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65]) {
      expect((await client.call.aggregate(request(n))).results).toEqual(results.slice(0, n));
    }
  });

  it('answers with a finite reward, its contributions and both spreads', async () => {
    const { results } = await client.call.aggregate(request(2));
    for (const { outcome } of results) {
      if (outcome?.$case !== 'aggregate') throw new Error('no aggregate');
      const { reward, contributions, expertSpread, headSpread } = outcome.value;
      expect([reward, ...contributions].every(Number.isFinite)).toBe(true);
      expect(contributions).toHaveLength(experts);
      expect(expertSpread).toBeGreaterThan(0);
      expect(headSpread).toBeGreaterThan(0);
    }
  });

  it.each([
    // Scores of 1, with means 0, 1, 2 and deviations 1, 2, 3.
    ['mean', MEAN, (1 + 0 - 1 / 3) / 3],
    ['worst case', WORST_CASE, -1 / 3],
  ])('answers by the rule %s where there is no learned aggregator', async (_, rule, expected) => {
    const { results } = await client.call.aggregate(request(2, { task: 'qa', rule }));
    const [, { outcome } = {}] = results;
    if (outcome?.$case !== 'aggregate') throw new Error('no aggregate');
    expect(outcome.value.reward).toBeCloseTo(expected, 12);
    expect(outcome.value.headSpread).toBe(0);
  });

  it('gives a candidate with NaN an error and the others their reward', async () => {
    const sound = request(3);
    const poisoned = request(3);
    poisoned.embeddings?.data.writeFloatLE(NaN, 4 * width);
    const { results } = await client.call.aggregate(poisoned);
    const [first, second, third] = results.map(({ outcome }) => outcome);
    const expected = (await client.call.aggregate(sound)).results.map(({ outcome }) => outcome);
    expect([first, third]).toEqual([expected[0], expected[2]]);
    if (second?.$case !== 'error') throw new Error('no error');
    expect(fromStatus(second.value)).toMatchObject({ code: 'INTERNAL', reason: 'NON_FINITE' });
  });

  it.each([
    ['an unknown task', { task: 'maths' }, { code: 'NOT_FOUND', reason: 'UNKNOWN_TASK' }],
    [
      'an unknown revision',
      { revision: 'b'.repeat(64) },
      { code: 'FAILED_PRECONDITION', reason: 'REVISION_NOT_ACTIVE' },
    ],
    [
      'the learned rule where there is none',
      { task: 'qa' },
      { code: 'FAILED_PRECONDITION', reason: 'NO_AGGREGATOR' },
    ],
    ['an unknown rule', { rule: 9 as aggregatorV1.AggregationRule }, { reason: 'UNKNOWN_ENUM_VALUE' }],
    ['a negative lambda', { rule: UNCERTAINTY_WEIGHTED, lambda: -1 }, { reason: 'BAD_LAMBDA' }],
    ['no embeddings', { embeddings: undefined }, { reason: 'BAD_TENSOR', field: 'embeddings' }],
    [
      'embeddings of another shape',
      { embeddings: toTensor(new Float32Array(width), [1, width]) },
      { code: 'INVALID_ARGUMENT', reason: 'BAD_TENSOR', field: 'embeddings' },
    ],
  ])('refuses a call with %s', async (_, over, expected) => {
    await expect(client.call.aggregate(request(1, over))).rejects.toMatchObject(expected);
  });

  it('answers a call without candidates with no results', async () => {
    expect((await client.call.aggregate(request(0))).results).toEqual([]);
  });
});

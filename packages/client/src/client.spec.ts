import { DmoermError, invalidArgument } from '@dmoerm/core';
import { rewardV1 } from '@dmoerm/protos';
import { createClient } from './client';
import type { Client } from './client';
import { LIMITS, ROUTE, startRewardServer } from './spec-support/reward-server';
import type { RewardServer } from './spec-support/reward-server';
import type { ScoreItem } from './types';

let server: RewardServer;
let client: Client;

const item = (text: string, ...candidates: string[]): ScoreItem => ({
  prompt: { type: 'conversation', messages: [{ role: 'user', content: text }] },
  candidates,
});

beforeAll(async () => {
  server = await startRewardServer();
  client = createClient({ address: server.address, timeoutMs: 5000 });
});
afterAll(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
});
beforeEach(() => server.reset());

describe('score', () => {
  it('gives the candidates in order, each with its score or its error', async () => {
    const scored = await client.score(item('Hello', 'four', '', 'x'));
    expect(scored).toMatchObject({
      route: ROUTE,
      revision: 'r',
      timingsNs: { queue: 1, engine: 2, aggregate: 3, total: 4 },
    });
    const [first, second] = scored.candidates;
    expect(first).toEqual({
      type: 'score',
      reward: 4,
      capabilities: [{ name: 'logic', score: 1, contribution: 2 }],
      uncertainty: { experts: 0.5, heads: 0.25 },
      tokenCount: 9,
      truncated: false,
      degraded: false,
    });
    if (second?.type !== 'error') throw new Error('no error');
    expect(second.error).toBeInstanceOf(DmoermError);
    expect(second.error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'EMPTY_CANDIDATE',
      field: 'candidates[1]',
    });
  });

  it('throws what is wrong with the item', async () => {
    server.before = () => {
      throw invalidArgument('messages', 'EMPTY_CONVERSATION', 'no messages');
    };
    await expect(client.score(item('Hello', 'x'))).rejects.toMatchObject({
      reason: 'EMPTY_CONVERSATION',
      field: 'messages',
    });
  });

  it('waits and calls again while the queue is full', async () => {
    let refusals = 2;
    server.before = () => {
      if (refusals-- > 0)
        throw new DmoermError({
          code: 'RESOURCE_EXHAUSTED',
          reason: 'QUEUE_FULL',
          message: 'full',
          retryAfterMs: 5,
        });
    };
    expect((await client.score(item('Hello', 'x'))).candidates).toHaveLength(1);
  });

  it.each(['DRAINING', 'NO_REPLICA'])('waits and calls again while the mesh says %s', async (reason) => {
    let refusals = 1;
    server.before = () => {
      if (refusals-- > 0)
        throw new DmoermError({ code: 'UNAVAILABLE', reason, message: 'away', retryAfterMs: 5 });
    };
    await expect(client.score(item('Hello', 'four'))).resolves.toMatchObject({ revision: 'r' });
  });

  it('does not wait if it is told not to', async () => {
    const impatient = createClient({ address: server.address, patient: false });
    let calls = 0;
    server.before = () => {
      calls += 1;
      throw new DmoermError({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'QUEUE_FULL',
        message: 'full',
        retryAfterMs: 1,
      });
    };
    await expect(impatient.score(item('Hello', 'x'))).rejects.toMatchObject({ reason: 'QUEUE_FULL' });
    expect(calls).toBe(1);
    impatient.close();
  });

  it('gives up when the deadline is nearer than the wait', async () => {
    server.before = () => {
      throw new DmoermError({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'QUEUE_FULL',
        message: 'full',
        retryAfterMs: 60_000,
      });
    };
    await expect(client.score(item('Hello', 'x'))).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  });
});

describe('batchScore', () => {
  const rewards = (results: Awaited<ReturnType<Client['batchScore']>>): unknown[] =>
    results.map((result) =>
      result.type === 'error'
        ? result.error.reason
        : result.candidates.map((candidate) =>
            candidate.type === 'score' ? candidate.reward : candidate.error.reason,
          ),
    );

  it('keeps the order over calls within the limit of items', async () => {
    const items = Array.from({ length: 20 }, (_, i) => item('Hello', 'x'.repeat(i + 1)));
    expect(rewards(await client.batchScore(items))).toEqual(items.map((_, i) => [i + 1]));
    expect(server.batches.map(({ length }) => length).sort()).toEqual([2, 3, 3, 3, 3, 3, 3]);
  });

  it('keeps calls within the limit of bytes', async () => {
    await client.batchScore(Array.from({ length: 6 }, () => item('x'.repeat(400), 'y')));
    expect(server.batches.map(({ length }) => length)).toEqual([2, 2, 2]);
  });

  it('makes the failure of a call the error of its items alone', async () => {
    server.before = (items) => {
      if (items.some(({ candidates }) => candidates[0] === 'bad'))
        throw invalidArgument('items', 'BAD', 'bad');
    };
    const items = ['a', 'bb', 'ccc', 'bad', 'x', 'x', 'dddd'].map((text) => item('Hello', text));
    expect(rewards(await client.batchScore(items))).toEqual([[1], [2], [3], 'BAD', 'BAD', 'BAD', [4]]);
  });

  it('names the field within the item, and asks again for those alone whose failure passes', async () => {
    let refusals = 1;
    server.refuse = ({ candidates }) => {
      if (candidates[0] === 'bad') return invalidArgument('messages', 'BAD', 'bad');
      if (candidates[0] !== 'late' || refusals-- === 0) return null;
      return new DmoermError({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'QUEUE_FULL',
        message: 'full',
        retryAfterMs: 5,
      });
    };
    const results = await client.batchScore(['a', 'bad', 'late'].map((text) => item('Hello', text)));
    expect(rewards(results)).toEqual([[1], 'BAD', [4]]);
    expect(results[1]).toMatchObject({ error: { field: 'messages' } });
    expect(server.batches.map((batch) => batch.map(({ candidates }) => candidates[0]))).toEqual([
      ['a', 'bad', 'late'],
      ['late'],
    ]);
  });

  it('refuses half of a surrogate pair, which would arrive as another text', async () => {
    const results = await client.batchScore([
      item('Hello', 'x'),
      item('Hello', 'x\ud800'),
      item('\udc00', 'x'),
    ]);
    expect(rewards(results)).toEqual([[1], 'ILL_FORMED_TEXT', 'ILL_FORMED_TEXT']);
    expect(results[1]).toMatchObject({ error: { field: 'candidates[0]' } });
    expect(results[2]).toMatchObject({ error: { field: 'messages[0].content' } });
  });

  it('answers no items without asking', async () => {
    expect(await client.batchScore([])).toEqual([]);
    expect(server.batches).toEqual([]);
  });

  it('throws when nobody can be reached', async () => {
    const nobody = createClient({ address: '127.0.0.1:1', timeoutMs: 2000 });
    await expect(nobody.batchScore([item('Hello', 'x')])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    nobody.close();
  });

  it('sends the options as they are meant', async () => {
    const options = {
      routing: { type: 'forced', task: 'qa' },
      aggregation: { type: 'uncertainty_weighted', lambda: 0.1 },
      truncation: 'keep_end',
      revision: 'f'.repeat(64),
      capabilities: ['logic'],
      priority: 'background',
    } as const;
    await client.batchScore([{ ...item('Hello', 'x'), options }]);
    expect(server.batches[0]?.[0]?.options).toEqual({
      routing: rewardV1.Routing.FORCED,
      task: 'qa',
      aggregation: rewardV1.Aggregation.UNCERTAINTY_WEIGHTED,
      lambda: 0.1,
      truncation: 2,
      revision: 'f'.repeat(64),
      capabilities: ['logic'],
      priority: 2,
    });
  });
});

describe('route and getModel', () => {
  it('classifies', async () => {
    expect(await client.route({ type: 'text', text: 'Hello' })).toEqual({ ...ROUTE, revision: 'r' });
  });

  it('describes the model', async () => {
    expect(await client.getModel()).toMatchObject({
      name: 'spec',
      tasks: [{ name: 'chat' }],
      limits: LIMITS,
    });
  });
});

import { DmoermError } from '@dmoerm/core';
import { rewardV1 } from '@dmoerm/protos';
import { DEFAULT_LIMITS, bindService, startServer, toStatus } from '@dmoerm/rpc';
import type { RpcServer, StreamHandler } from '@dmoerm/rpc';
import fc from 'fast-check';
import { createClient } from './client';
import { ItemStream } from './item-stream';
import type { StreamItem } from './item-stream';

type Handler = StreamHandler<rewardV1.StreamScoreRequest, rewardV1.StreamScoreResponse>;

const named = (id: string): StreamItem => ({
  id,
  item: { prompt: { type: 'text', text: 'why' }, candidates: ['x'] },
});
const away = (reason = 'DRAINING') =>
  new DmoermError({ code: 'UNAVAILABLE', reason, message: 'away', retryAfterMs: 1 });
const answer = (itemId: string): rewardV1.StreamScoreResponse => ({
  itemId,
  result: {
    outcome: { $case: 'response', value: rewardV1.ScoreResponse.fromPartial({ revision: itemId }) },
  },
});
const refusal = (itemId: string): rewardV1.StreamScoreResponse => ({
  itemId,
  result: { outcome: { $case: 'error', value: toStatus(away('NO_REPLICA')) } },
});

async function idsOf(stream: ItemStream): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id, result } of stream.results(Infinity)) {
    if (result.type === 'error') throw result.error;
    expect(result.revision).toBe(id);
    ids.push(id);
  }
  return ids;
}

describe('a stream of items', () => {
  it('answers each item once, whatever breaks: streams or single items', async () => {
    const step = fc.constantFrom('answer', 'refuse', 'break', 'end', 'twice');
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 12 }),
        fc.array(step, { maxLength: 40 }),
        async (count, script) => {
          const steps = script.values();
          const open = async function* (requests: AsyncIterable<rewardV1.StreamScoreRequest>) {
            for await (const { itemId } of requests) {
              const what = steps.next().value ?? 'answer';
              if (what === 'refuse') yield refusal(itemId);
              else if (what === 'break') throw away();
              else if (what === 'end') return;
              else yield answer(itemId);
              if (what === 'twice') yield answer(itemId);
            }
          };
          const ids = Array.from({ length: count }, (_, i) => `${i}`);
          const work = idsOf(new ItemStream(ids.map(named), open));
          expect((await work).sort()).toEqual([...ids].sort());
        },
      ),
      { numRuns: 200 },
    );
  });

  it('throws what its source throws, and refuses an id that is under way', async () => {
    const open = async function* (requests: AsyncIterable<rewardV1.StreamScoreRequest>) {
      for await (const { itemId } of requests) if (itemId !== 'a') yield answer(itemId);
    };
    const broken = function* () {
      yield named('b');
      throw new Error('the source broke');
    };
    await expect(idsOf(new ItemStream(broken(), open))).rejects.toThrow('the source broke');
    await expect(idsOf(new ItemStream(['a', 'a'].map(named), open))).rejects.toMatchObject({
      reason: 'DUPLICATE_ITEM_ID',
    });
  });

  it('gives up on what waiting does not mend', async () => {
    const open = async function* () {
      yield* [];
      throw new DmoermError({ code: 'UNAUTHENTICATED', reason: 'NO_IDENTITY', message: 'who?' });
    };
    await expect(idsOf(new ItemStream([named('a')], open))).rejects.toMatchObject({ reason: 'NO_IDENTITY' });
  });
});

describe('over the wire', () => {
  const serve = (streamScore: Handler, address = '127.0.0.1:0'): Promise<RpcServer> => {
    const never = () => Promise.reject(new Error('not under test'));
    return startServer({
      address,
      services: [
        bindService(rewardV1.RewardServiceService, {
          score: never,
          batchScore: never,
          route: never,
          getModel: never,
          streamScore,
        }),
      ],
      healthServices: [],
      reflection: false,
      limits: DEFAULT_LIMITS,
      drain: { lameDuckMs: 0, graceMs: 3000 },
    });
  };

  it('a stream lasts through restarts of the router: no item lost, none asked again that was answered', async () => {
    const asked = new Map<string, number>();
    const answered = new Map<string, number>();
    const echo: Handler = async function* (requests) {
      for await (const { itemId } of requests) {
        asked.set(itemId, (asked.get(itemId) ?? 0) + 1);
        yield answer(itemId);
      }
    };
    let server = await serve(echo);
    const { address } = server;
    const client = createClient({ address });
    const items = async function* () {
      for (let i = 0; i < 60; i++) {
        if (i === 20 || i === 40) {
          await server.drain();
          server = await serve(echo, address);
        }
        yield named(`${i}`);
      }
    };
    for await (const { id, result } of client.streamScore(items())) {
      expect(result.type).toBe('scored');
      answered.set(id, (answered.get(id) ?? 0) + 1);
    }
    expect([...answered.values()]).toEqual(Array(60).fill(1));
    expect([...asked.values()]).toEqual(Array(60).fill(1));
    client.close();
    await server.drain();
  });

  it('items are taken no faster than the router takes them, give or take the retry buffer', async () => {
    const server = await serve(async function* (requests) {
      for await (const { itemId } of requests)
        yield { ...answer(itemId), result: answer('x'.repeat(20_000)).result };
    });
    const client = createClient({ address: server.address });
    let taken = 0;
    const text = 'x'.repeat(10_000);
    const endless = function* (): Generator<StreamItem> {
      for (;;) {
        taken += 1;
        yield { ...named(`${taken}`), item: { prompt: { type: 'text', text }, candidates: ['x'] } };
      }
    };
    const results = client.streamScore(endless());
    await results.next();
    let before = -1;
    while (before !== taken) {
      before = taken;
      for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    // The client keeps 64 MiB for retries until the first answer.
    expect(taken * text.length).toBeLessThan(80 << 20);
    await results.return();
    client.close();
    await server.drain();
  });
});

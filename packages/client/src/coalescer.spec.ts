import { DmoermError, invalidArgument } from '@dmoerm/core';
import fc from 'fast-check';
import { once } from 'node:events';
import { createCoalescer } from './coalescer';
import type { Coalescer, CoalescerOptions } from './coalescer';
import { startRewardServer } from './spec-support/reward-server';
import type { RewardServer } from './spec-support/reward-server';
import type { ScoreItem, ScoredItem } from './types';

const LIMITS = { maxItems: 100, maxCandidates: 8, maxTokens: 512, maxMessageBytes: 1 << 20 };

let server: RewardServer;
const open: Coalescer[] = [];

beforeAll(async () => {
  server = await startRewardServer(LIMITS);
});
beforeEach(() => server.reset());
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});
afterAll(() => server[Symbol.asyncDispose]());

function create(options: Partial<CoalescerOptions> = {}): Coalescer {
  const coalescer = createCoalescer({ address: server.address, timeoutMs: 5000, ...options });
  open.push(coalescer);
  return coalescer;
}

const item = (prompt: string, ...candidates: string[]): ScoreItem => ({
  prompt: { type: 'text', text: prompt },
  candidates,
});
const rewards = ({ candidates }: ScoredItem): unknown[] =>
  candidates.map((one) => (one.type === 'score' ? one.reward : `${one.error.reason} ${one.error.field}`));
const full = (retryAfterMs = 5): DmoermError =>
  new DmoermError({ code: 'RESOURCE_EXHAUSTED', reason: 'QUEUE_FULL', message: 'full', retryAfterMs });
/** Texts that the server has seen. */
const sent = (): string[] => server.batches.flat().flatMap(({ candidates }) => candidates);

describe('a coalescer', () => {
  it('makes few calls of many single scores, and each caller gets its own reward', async () => {
    const coalescer = create();
    const texts = Array.from({ length: 500 }, (_, i) => 'x'.repeat(1 + (i % 97)));
    const scored = await Promise.all(texts.map((text, i) => coalescer.score(item(`prompt ${i % 60}`, text))));
    expect(scored.map(rewards)).toEqual(texts.map(({ length }) => [length]));
    expect(server.batches.length).toBeLessThanOrEqual(Math.ceil(500 / 64) + 2);
  });

  it('computes a prompt once for all who ask at the same time', async () => {
    const coalescer = create();
    await Promise.all(Array.from({ length: 8 }, (_, i) => coalescer.score(item('why', 'x'.repeat(i + 1)))));
    expect(server.batches.map((batch) => batch.map(({ candidates }) => candidates.length))).toEqual([[8]]);
  });

  it('whatever comes when: everybody gets his own answer, within the bounds, and nothing is asked twice', async () => {
    const call = fc.record({
      prompt: fc.constantFrom('one', 'two', 'three'),
      candidates: fc.array(fc.string({ minLength: 1, maxLength: 9, unit: 'grapheme' }), {
        minLength: 1,
        maxLength: 3,
      }),
      turns: fc.nat(4),
    });
    const bounds = fc.record({
      maxItems: fc.integer({ min: 1, max: 9 }),
      callsAtOnce: fc.integer({ min: 1, max: 3 }),
      waitMs: fc.integer({ min: 0, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 30 }), bounds, async (calls, limits) => {
        server.reset();
        let atOnce = 0;
        let most = 0;
        server.before = async () => {
          most = Math.max(most, ++atOnce);
          await new Promise(setImmediate);
          atOnce -= 1;
        };
        const coalescer = createCoalescer({ address: server.address, ...limits });
        const scored = await Promise.all(
          calls.map(async ({ prompt, candidates, turns }) => {
            for (let i = 0; i < turns; i++) await new Promise(setImmediate);
            return coalescer.score(item(prompt, ...candidates));
          }),
        );
        await coalescer.close();
        expect(scored.map(rewards)).toEqual(
          calls.map(({ candidates }) => candidates.map(({ length }) => length)),
        );
        expect(sent().sort()).toEqual(calls.flatMap(({ candidates }) => candidates).sort());
        expect(most).toBeLessThanOrEqual(limits.callsAtOnce);
        for (const batch of server.batches) expect(batch.length).toBeLessThanOrEqual(limits.maxItems);
      }),
      { numRuns: 40 },
    );
  });

  it('keeps calls within its own bytes and the server’s', async () => {
    const coalescer = create({ maxBytes: 1000 });
    await Promise.all(Array.from({ length: 12 }, (_, i) => coalescer.score(item(`${i}`, 'x'.repeat(400)))));
    expect(Math.max(...server.batches.map((batch) => batch.length))).toBe(2);
  });

  it('an item waits for company no longer than it may, and not at all when there is enough', async () => {
    const patient = create({ waitMs: 60_000, maxItems: 2 });
    expect(
      (await Promise.all([patient.score(item('a', 'x')), patient.score(item('b', 'x'))])).map(rewards),
    ).toEqual([[1], [1]]);
    // Alone it would wait for a minute; with its control it is answered at once.
    const alone = patient.score(item('c', 'x'), { signal: AbortSignal.timeout(50) });
    await expect(alone).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(rewards(await create({ waitMs: 1 }).score(item('c', 'x')))).toEqual([1]);
  });
});

describe('failures', () => {
  it('a bad candidate fails its own caller alone, who is told its own place', async () => {
    const coalescer = create();
    const [good, bad] = await Promise.all([
      coalescer.score(item('why', 'four')),
      coalescer.score(item('why', 'x', '')),
    ]);
    expect(server.batches).toHaveLength(1);
    expect([rewards(good), rewards(bad)]).toEqual([[4], [1, 'EMPTY_CANDIDATE candidates[1]']]);
  });

  it('a bad item fails its own caller alone, and its field begins in the item', async () => {
    server.refuse = ({ prompt }) =>
      prompt?.value === 'bad' ? invalidArgument('options.task', 'UNKNOWN_TASK', 'no') : null;
    const coalescer = create();
    const good = coalescer.score(item('good', 'four'));
    await expect(coalescer.score(item('bad', 'x'))).rejects.toMatchObject({
      reason: 'UNKNOWN_TASK',
      field: 'options.task',
    });
    expect(rewards(await good)).toEqual([4]);
    expect(server.batches).toHaveLength(1);
  });

  it('an item without candidates is not lost among others of its prompt', async () => {
    const coalescer = create();
    const scored = await Promise.all([coalescer.score(item('why', 'x')), coalescer.score(item('why'))]);
    expect(scored.map(rewards)).toEqual([[1], []]);
    expect(server.batches[0]?.map(({ candidates }) => candidates)).toEqual([['x'], []]);
  });

  it('a full queue is waited out as long as the server says, and only for those whom it refused', async () => {
    let refusals = 2;
    server.refuse = ({ candidates }) => (candidates[0] === 'late' && refusals-- > 0 ? full() : null);
    const coalescer = create();
    const scored = await Promise.all([coalescer.score(item('a', 'x')), coalescer.score(item('b', 'late'))]);
    expect(scored.map(rewards)).toEqual([[1], [4]]);
    expect(sent()).toEqual(['x', 'late', 'late', 'late']);
  });

  it('a wait that is longer than the time left is an error that says when to come back', async () => {
    server.before = () => {
      throw full(60_000);
    };
    await expect(create().score(item('a', 'x'))).rejects.toMatchObject({
      reason: 'QUEUE_FULL',
      retryAfterMs: 60_000,
    });
    expect(server.batches).toHaveLength(1);
  });

  it('what does not pass is not asked again', async () => {
    server.before = () => {
      throw new DmoermError({ code: 'RESOURCE_EXHAUSTED', reason: 'MESSAGE_TOO_LARGE', message: 'large' });
    };
    await expect(create().score(item('a', 'x'))).rejects.toMatchObject({ reason: 'MESSAGE_TOO_LARGE' });
    expect(server.batches).toHaveLength(1);
  });

  it('a server that never answers costs no more than the time that there is', async () => {
    server.before = (_, signal) => once(signal, 'abort').then(() => undefined);
    await expect(create({ timeoutMs: 100 }).score(item('a', 'x'))).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  it('nobody there is an error in time', async () => {
    const nobody = create({ address: '127.0.0.1:9', timeoutMs: 700 });
    await expect(nobody.score(item('a', 'x'))).rejects.toMatchObject({
      code: expect.stringMatching(/UNAVAILABLE|DEADLINE/),
    });
  });

  it.each([NaN, Infinity, -Infinity])('%d is no reward', async (value) => {
    server.spoil = ({ results: [first] }) => {
      const outcome =
        first?.outcome?.$case === 'response' ? first.outcome.value.results[0]?.outcome : undefined;
      if (outcome?.$case === 'score') outcome.value.reward = value;
    };
    await expect(create().score(item('a', 'x'))).rejects.toMatchObject({ reason: 'BAD_ANSWER' });
  });

  it('an answer of another shape is an error of those whom it concerns', async () => {
    server.spoil = ({ results: [first] }) => {
      if (first?.outcome?.$case === 'response') first.outcome.value.results.pop();
    };
    const coalescer = create();
    const [bad, good] = await Promise.allSettled([
      coalescer.score(item('a', 'x')),
      coalescer.score(item('b', 'x')),
    ]);
    expect(bad).toMatchObject({ reason: { reason: 'BAD_ANSWER' } });
    expect(good).toMatchObject({ status: 'fulfilled' });
    server.spoil = ({ results }) => void results.pop();
    await expect(coalescer.score(item('a', 'x'))).rejects.toMatchObject({ reason: 'BAD_ANSWER' });
  });

  it('half of a surrogate pair is refused before it is sent', async () => {
    await expect(create().score(item('a', '\ud800'))).rejects.toMatchObject({ reason: 'ILL_FORMED_TEXT' });
    expect(server.batches).toEqual([]);
  });
});

describe('cancellation', () => {
  it('what is cancelled before it is sent is not sent', async () => {
    const coalescer = create({ waitMs: 20 });
    const gone = new AbortController();
    const calls = Array.from({ length: 20 }, (_, i) =>
      coalescer.score(item(`${i}`, `text ${i}`), i % 2 === 0 ? { signal: gone.signal } : {}),
    );
    gone.abort();
    const settled = await Promise.allSettled(calls);
    expect(settled.map(({ status }) => status)).toEqual(
      calls.map((_, i) => (i % 2 === 0 ? 'rejected' : 'fulfilled')),
    );
    expect(sent()).toHaveLength(10);
    const late = coalescer.score(item('late', 'late'), { signal: gone.signal });
    await expect(late).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(sent()).not.toContain('late');
  });

  it('a call is cancelled when nobody waits for it any more, and not before', async () => {
    let heard: AbortSignal | null = null;
    let arrive: () => void = () => undefined;
    const here = new Promise<void>((resolve) => (arrive = resolve));
    server.before = async (_, signal) => {
      heard = signal;
      arrive();
      await once(signal, 'abort');
    };
    const coalescer = create();
    const [first, second] = [new AbortController(), new AbortController()];
    const calls = [first, second].map(({ signal }, i) => coalescer.score(item(`${i}`, 'x'), { signal }));
    await here;
    const signal = heard as unknown as AbortSignal;
    first.abort();
    await expect(calls[0]).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(signal.aborted).toBe(false);
    second.abort();
    await expect(calls[1]).rejects.toMatchObject({ code: 'CANCELLED' });
    if (!signal.aborted) await once(signal, 'abort');
  });

  it('close finishes what is under way and takes nothing more', async () => {
    const coalescer = createCoalescer({ address: server.address });
    const under = coalescer.score(item('a', 'four'));
    // `score` hands its item over in the same turn.
    const closing = coalescer.close();
    await expect(coalescer.score(item('b', 'x'))).rejects.toMatchObject({ reason: 'CLOSED' });
    expect(rewards(await under)).toEqual([4]);
    await closing;
  });
});

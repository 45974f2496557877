import type { CallContext } from './call-context';
import { Loopback, OK_RESPONSE, failureOf, gate, item, request } from './spec-support/loopback';
import type { Evaluate } from './spec-support/loopback';

const loopback = new Loopback();
afterEach(() => loopback.close());

/** Resolves with the reason when the context's caller has gone. */
function gone({ signal }: CallContext): Promise<unknown> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));
}

/** Caller -> relay -> leaf; the leaf never answers and hands out its context. */
async function twoHops(relayed: (context: CallContext) => object) {
  const reached = gate<CallContext>();
  const leaf = await loopback.serveExpert(
    (_, context) => {
      reached.open(context);
      return new Promise(() => undefined);
    },
    { drain: { lameDuckMs: 0, graceMs: 0 } },
  );
  const next = loopback.expert(leaf.address);
  const relay: Evaluate = (message, context) => next.call.evaluate(message, relayed(context));
  const { address } = await loopback.serveExpert(relay, { drain: { lameDuckMs: 0, graceMs: 0 } });
  return { caller: loopback.expert(address), leaf: reached.promise };
}

describe('a call made with the context of another', () => {
  it('is cancelled with it', async () => {
    const { caller, leaf } = await twoHops((context) => ({ context }));
    const abort = new AbortController();
    const call = failureOf(caller.call.evaluate(request(), { signal: abort.signal }));
    const context = await leaf;
    const left = gone(context);
    abort.abort();
    expect(await call).toMatchObject({ code: 'CANCELLED' });
    expect(await left).toMatchObject({ code: 'CANCELLED' });
  });

  it('has its deadline, and the leaf is told when it passes', async () => {
    const { caller, leaf } = await twoHops((context) => ({ context }));
    const call = failureOf(caller.call.evaluate(request(), { timeoutMs: 200 }));
    const context = await leaf;
    expect(context.deadline).toBeLessThanOrEqual(Date.now() + 200);
    expect(await gone(context)).toMatchObject({ code: expect.stringMatching(/DEADLINE_EXCEEDED|CANCELLED/) });
    expect(await call).toMatchObject({ code: 'DEADLINE_EXCEEDED', reason: 'DEADLINE_EXCEEDED' });
  });

  it('has its request id', async () => {
    const { caller, leaf } = await twoHops(({ signal, deadline }) => ({
      context: { signal, deadline, requestId: 'r-7' },
    }));
    void caller.call.evaluate(request(), { timeoutMs: 200 }).catch(() => undefined);
    expect((await leaf).requestId).toBe('r-7');
  });

  it('would outlive it without the context', async () => {
    const { caller, leaf } = await twoHops(() => ({}));
    const abort = new AbortController();
    const call = failureOf(caller.call.evaluate(request(), { signal: abort.signal, timeoutMs: 5_000 }));
    const context = await leaf;
    expect(context.deadline).toBeGreaterThan(Date.now() + 20_000);
    abort.abort();
    await call;
    const window = new Promise((resolve) => setTimeout(resolve, 200, 'still there'));
    expect(await Promise.race([gone(context), window])).toBe('still there');
  });

  it('is not made at all once that one is over', async () => {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE);
    const signal = AbortSignal.abort();
    const context = { signal, deadline: null, identity: null, requestId: 'r-1', peer: '' };
    expect(await failureOf(loopback.expert(address).call.evaluate(request(), { context }))).toMatchObject({
      code: 'CANCELLED',
    });
  });
});

describe('the context of a stream', () => {
  it('is aborted when the caller leaves its loop', async () => {
    const reached = gate<CallContext>();
    const { address } = await loopback.serveStream(async function* (requests, context) {
      reached.open(context);
      for await (const { itemId } of requests) yield { itemId, result: undefined };
    });
    const endless = async function* () {
      for (let i = 0; ; i++) yield item(String(i));
    };
    for await (const { itemId } of loopback.reward(address).call.streamScore(endless()))
      if (itemId === '3') break;
    const context = await reached.promise;
    if (!context.signal.aborted) await gone(context);
    expect(context.signal.reason).toMatchObject({ code: 'CANCELLED' });
  });
});

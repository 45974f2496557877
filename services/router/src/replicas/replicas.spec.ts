import { DmoermError } from '@dmoerm/core';
import { expertV1 } from '@dmoerm/protos';
import type { CallContext } from '@dmoerm/rpc';
import { logger, metrics } from '@dmoerm/telemetry';
import { once, setMaxListeners } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSpecExpert, unavailable } from '../spec-peers';
import type { SpecPeer } from '../spec-peers';
import { Replicas } from './replicas';
import type { ReplicasOptions } from './replicas';

type Expert = SpecPeer<expertV1.EvaluateRequest>;
const CALLER = new AbortController();
setMaxListeners(0, CALLER.signal);
const CONTEXT: CallContext = {
  signal: CALLER.signal,
  deadline: null,
  requestId: 'spec',
  identity: null,
  peer: '',
};
const REQUEST = expertV1.EvaluateRequest.create({ task: 'chat' });

let experts: Expert[];
const opened: Replicas<typeof expertV1.ExpertServiceService>[] = [];

beforeAll(async () => {
  logger.level = 'silent';
  experts = [await startSpecExpert(), await startSpecExpert(), await startSpecExpert()];
});
beforeEach(() => {
  for (const expert of experts) {
    expert.requests.length = 0;
    expert.before = () => undefined;
  }
});
afterEach(() => {
  for (const replicas of opened.splice(0)) replicas.close();
});
afterAll(() => Promise.all(experts.map((expert) => expert[Symbol.asyncDispose]())));

function open(addresses: readonly string[], options: Partial<ReplicasOptions> = {}) {
  const target = `ipv4:${addresses.join(',')}`;
  const replicas = new Replicas(expertV1.ExpertServiceService, {
    peer: 'expert',
    tls: null,
    target,
    silenceMs: 200,
    awayMs: 300,
    keepLast: true,
    hedgeShare: 0,
    ...options,
  });
  opened.push(replicas);
  const call = (context: CallContext = CONTEXT) =>
    replicas.call((calls, own) => calls.evaluate(REQUEST, own), 1, context);
  return { replicas, call };
}

const addresses = (n: number): string[] => experts.slice(0, n).map(({ address }) => address);
const taken = (): number[] => experts.map(({ requests }) => requests.length);
const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await sleep(5);
};

describe('calls to replicas', () => {
  it('go where the least work is outstanding', async () => {
    const { call } = open(addresses(3));
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const [slow] = experts as [Expert];
    slow.before = () => held;
    let answered = 0;
    const all = [1, 2, 3].map(() => call().then(() => (answered += 1)));
    await until(() => answered === 2);
    for (let i = 0; i < 6; i++) await call();
    expect(taken()).toEqual([1, 4, 4]);
    release();
    await Promise.all(all);
  });

  it('are made again on another replica when one is unavailable, which is then left out until it serves', async () => {
    const { call } = open(addresses(2));
    const [dead] = experts as [Expert];
    dead.before = () => {
      throw unavailable();
    };
    for (let i = 0; i < 20; i++) await call();
    expect(taken()[0]).toBeLessThanOrEqual(2);
  });

  it('come back to a replica that serves again', async () => {
    const reborn = await startSpecExpert();
    const { address } = reborn;
    const { call } = open([address, ...addresses(1)]);
    await call();
    await call();
    await reborn[Symbol.asyncDispose]();
    for (let i = 0; i < 10; i++) await call();
    const again = await startSpecExpert(address);
    try {
      await until(() => {
        void call().catch(() => undefined);
        return again.requests.length > 0;
      });
    } finally {
      await again[Symbol.asyncDispose]();
    }
  });

  it.each([
    ['RESOURCE_EXHAUSTED', 'QUEUE_FULL'],
    ['INVALID_ARGUMENT', 'BAD'],
    ['INTERNAL', 'BUG'],
  ] as const)('fail at once with %s: nothing another replica would do better', async (code, reason) => {
    const { call } = open(addresses(2));
    for (const expert of experts)
      expert.before = () => {
        throw new DmoermError({ code, reason, message: 'no' });
      };
    await expect(call()).rejects.toMatchObject({ code, reason });
    expect(taken().reduce((a, b) => a + b)).toBe(1);
  });

  it('fail with NO_REPLICA after four attempts in all', async () => {
    const { call } = open(addresses(2));
    for (const expert of experts)
      expert.before = () => {
        throw unavailable();
      };
    await expect(call()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'NO_REPLICA',
      retryAfterMs: 1000,
      cause: { reason: 'DRAINING' },
    });
    expect(taken()).toEqual([2, 2, 0]);
  });

  it('stop when the caller has gone', async () => {
    const { call } = open(addresses(1));
    const caller = new AbortController();
    const [expert] = experts as [Expert];
    const cancelled = new Promise<void>((resolve) => {
      expert.before = (_, signal) => {
        caller.abort(new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'gone' }));
        return new Promise((done) =>
          signal.addEventListener('abort', () => {
            resolve();
            done();
          }),
        );
      };
    });
    await expect(call({ ...CONTEXT, signal: caller.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    await cancelled;
  });
});

describe('a replica that says nothing', () => {
  it('loses its calls to another after two silences', async () => {
    // It accepts connections, as the kernel does for a frozen process.
    const sockets: Socket[] = [];
    const frozen = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(frozen, 'listening');
    const { call } = open([`127.0.0.1:${(frozen.address() as AddressInfo).port}`, ...addresses(1)]);
    try {
      await Promise.all([call(), call(), call(), call()]);
      expect(taken()[0]).toBe(4);
    } finally {
      frozen.close();
      for (const socket of sockets) socket.destroy();
    }
  });

  it('keeps them where no other replica is well, if it is to, and loses them otherwise', async () => {
    const sockets: Socket[] = [];
    const frozen = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(frozen, 'listening');
    const at = [`127.0.0.1:${(frozen.address() as AddressInfo).port}`];
    const brief = { silenceMs: 50, timeoutMs: 600 };
    await expect(open(at, brief).call()).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await expect(open(at, { ...brief, timeoutMs: 5_000, keepLast: false }).call()).rejects.toMatchObject({
      reason: 'NO_REPLICA',
      cause: { reason: 'REPLICA_SILENT' },
    });
    frozen.close();
    for (const socket of sockets) socket.destroy();
  });

  it('keeps them while it answers health checks: slow is not frozen', async () => {
    const { call } = open(addresses(2), { silenceMs: 30 });
    for (const expert of experts) expert.before = () => sleep(400);
    await call();
    expect(taken().reduce((a, b) => a + b)).toBe(1);
  });
});

describe('a late answer', () => {
  const warmUp = async (call: () => Promise<unknown>): Promise<void> => {
    for (let i = 0; i < 48; i++) await call();
  };

  it('is overtaken by a second attempt on another replica; the loser is cancelled', async () => {
    const { call } = open(addresses(2), { hedgeShare: 0.5, silenceMs: 10_000 });
    await warmUp(call);
    let cancelled = 0;
    let late = true;
    for (const expert of experts)
      expert.before = (_, signal) => {
        if (!late) return undefined;
        late = false;
        return new Promise((resolve) =>
          signal.addEventListener('abort', () => {
            cancelled += 1;
            resolve();
          }),
        );
      };
    const hedges = async (): Promise<number> =>
      (await metrics.hedges.get()).values.reduce((sum, { value }) => sum + value, 0);
    const before = await hedges();
    await call();
    await until(() => cancelled === 1);
    expect(await hedges()).toBe(before + 1);
  });

  it('is waited for where hedging is off, or its budget spent', async () => {
    for (const hedgeShare of [0, 0.01]) {
      const { call } = open(addresses(2), { hedgeShare, silenceMs: 10_000 });
      await warmUp(call);
      const before = taken().reduce((a, b) => a + b);
      for (const expert of experts) expert.before = () => sleep(150);
      await call();
      expect(taken().reduce((a, b) => a + b)).toBe(before + 1);
      for (const expert of experts) expert.before = () => undefined;
    }
  });
});

describe('names', () => {
  it('are resolved again when a replica fails: calls go to the replicas that are there now', async () => {
    const moved = await startSpecExpert();
    const [, port = ''] = moved.address.split(':');
    // On Linux all of 127/8 is this machine, but servers listen on 127.0.0.1 alone: the other address refuses.
    let found = ['127.0.0.2'];
    const { call } = open([], { target: `experts:${port}`, lookup: async () => found });
    await expect(call()).rejects.toMatchObject({ reason: 'NO_REPLICA' });
    found = ['127.0.0.1'];
    await until(() => {
      void call().catch(() => undefined);
      return moved.requests.length > 0;
    });
    await moved[Symbol.asyncDispose]();
  });

  it('that cannot be resolved leave the known replicas', async () => {
    let broken = false;
    const [expert] = experts as [Expert];
    const [, port = ''] = expert.address.split(':');
    const lookup = async () => {
      if (broken) throw new Error('no name server');
      return ['127.0.0.1'];
    };
    const { call, replicas } = open([], { target: `experts:${port}`, lookup });
    await call();
    broken = true;
    await replicas.waitForReady(Date.now() + 2000);
    await call();
    expect(taken()[0]).toBe(2);
  });
});

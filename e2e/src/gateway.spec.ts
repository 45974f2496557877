import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { request as secureRequest } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { activateBundle, createClient, toRecord, type Client, type ScoreItem } from '@dmoerm/client';
import { createToken, digestToken } from '@dmoerm/rpc';
import { logger, metrics } from '@dmoerm/telemetry';
import { createAuthority, createSpecBundle } from '@dmoerm/testing';
import fc from 'fast-check';
import { Documented, type Reply } from './gateway/documented';
import { Services } from './gateway/gateways';
import { DamagedBundle } from './faults/support/bundle-damage';
import { QUICK_END, exitStatus, serve, type Served } from './serve';

jest.setTimeout(120_000);

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-gateway-'));
const bundle = join(folder, 'bundle');
const services = new Services();
const documented = new Documented();
/** A port where nobody listens. */
const NOBODY = '127.0.0.1:9';
const QUESTION = [{ role: 'user', content: 'hello, why do rivers bend?' }] as const;
const ANSWERS = ['because of sand', 'water cuts the outer bank', 'nobody knows'];
/** A body for each operation that scores. */
const BODIES: Readonly<Record<string, unknown>> = {
  '/v1/score': { items: [{ id: 'a', messages: QUESTION, candidates: ['because of sand'] }] },
  '/get_reward': { query: ['hello, why?because of sand'], prompts: ['hello, why?'], labels: [''] },
  '/slime': { prompt: QUESTION, response: 'because of sand', label: '' },
  '/slime/multi': { prompt: 'hello, why do rivers bend?', response: 'because of sand' },
  '/v2/models/reward_model/infer': {
    inputs: [{ name: 'sentences', shape: [1], datatype: 'BYTES', data: ['hello, why? because of sand'] }],
  },
};
const TRAINERS = Object.keys(BODIES).filter((path) => path !== '/v1/score');

let served: Served;
let router: string;
let base: string;
let client: Client;

beforeAll(async () => {
  logger.level = 'silent';
  await createSpecBundle(bundle, folder);
  served = await serve(bundle, folder, ['--http', '127.0.0.1:0'], QUICK_END);
  ({ address: router } = await services.router(bundle, folder, peers()));
  ({ base } = await services.gateway(router));
  client = createClient({ address: served.addresses.router });
});
afterAll(async () => {
  client.close();
  await services.stop();
  served.child.kill('SIGTERM');
  await exitStatus(served.child);
  rmSync(folder, { recursive: true, force: true });
});

function peers(): string[] {
  return ['--expert', served.addresses.expert, '--aggregator', served.addresses.aggregator];
}

const post = (path: string, body: unknown = BODIES[path.split('?')[0] ?? ''], to = base): Promise<Reply> =>
  documented.ask(to, { path, body });
const errorOf = ({ json }: Reply): Record<string, unknown> =>
  (json as { error: Record<string, unknown> }).error;

describe('what the gateway answers', () => {
  it('/v1/score is the record of the command line, and its rewards have the bits of gRPC', async () => {
    const items = ANSWERS.map((answer, i) => ({
      id: `${i}`,
      messages: QUESTION,
      candidates: [answer, 'no idea'],
    }));
    const { status, json, headers } = await post('/v1/score', { items });
    expect([status, headers.get('x-request-id')]).toEqual([200, expect.stringMatching(/./)]);
    const direct = await client.batchScore(
      items.map(({ messages, candidates }): ScoreItem => ({
        prompt: { type: 'conversation', messages },
        candidates,
      })),
    );
    const expected = direct.map((result, i) => ({
      ...toRecord(`${i}`, result),
      timings_ns: expect.any(Object),
    }));
    expect((json as { results: unknown[] }).results).toEqual(JSON.parse(JSON.stringify(expected), revive));
    function revive(key: string, value: unknown): unknown {
      return key === 'timings_ns' ? (expect.any(Object) as unknown) : value;
    }
  });

  it('a bad item is an error in its own result, named by its place', async () => {
    const good = { messages: QUESTION, candidates: ['because of sand', ''] };
    const { json } = await post('/v1/score', {
      items: [
        good,
        { candidates: ['x'] },
        { text: '', candidates: ['x'] },
        { messages: QUESTION, candidates: ['x'], task: 'nonsense' },
        { messages: QUESTION, candidates: ['x'], lambda: 1 },
        { messages: QUESTION, candidates: ['\ud800'] },
        { messages: QUESTION, candidates: ['x'], revision: '0'.repeat(64) },
      ],
    });
    const { results } = json as { results: { error?: unknown; candidates?: unknown[] }[] };
    expect(results[0]?.candidates).toMatchObject([
      { reward: expect.any(Number) },
      { error: { reason: 'EMPTY_CANDIDATE', field: 'candidates[1]' } },
    ]);
    expect(results.slice(1).map(({ error }) => error)).toMatchObject([
      { reason: 'NO_PROMPT', field: 'items[1].messages' },
      { reason: 'EMPTY_PROMPT', field: 'items[2].text' },
      { reason: 'UNKNOWN_TASK', field: 'items[3].task' },
      { reason: 'CONFLICTING_OPTIONS', field: 'items[4].lambda' },
      { reason: 'ILL_FORMED_TEXT', field: 'items[5].candidates[0]' },
      { reason: 'REVISION_NOT_ACTIVE', field: 'items[6].revision' },
    ]);
  });

  it('no items give no results', async () => {
    expect((await post('/v1/score', { items: [] })).json).toEqual({ results: [] });
  });

  it('options say how an item is scored', async () => {
    const item = { messages: QUESTION, candidates: ['because of sand'] };
    const options = [
      {},
      { task: 'qa' },
      { aggregation: 'worst_case' },
      { capabilities: ['tone'] },
      { routing: 'soft' },
    ];
    const { json } = await post('/v1/score', { items: options.map((one) => ({ ...item, ...one })) });
    const [plain, forced, worst, tone, soft] = (
      json as {
        results: {
          route: { task: string };
          candidates: [{ reward: number; capabilities: { name: string }[] }];
        }[];
      }
    ).results;
    expect([plain?.route.task, forced?.route.task, soft?.route.task]).toEqual(['chat', 'qa', 'chat']);
    expect(worst?.candidates[0].reward).not.toBe(plain?.candidates[0].reward);
    expect(tone?.candidates[0].capabilities.map(({ name }) => name)).toEqual(['tone']);
    expect(tone?.candidates[0].reward).toBe(plain?.candidates[0].reward);
  });

  it('/v1/model describes the model', async () => {
    const { json } = await documented.ask(base, { method: 'GET', path: '/v1/model' });
    const { revision, tasks } = await client.getModel();
    expect(json).toMatchObject({ revision, tasks, limits: { max_candidates: 128 } });
  });

  it('/get_reward answers OpenRLHF with lists of the length of the query, the rewards those of gRPC', async () => {
    const prompt = 'hello, why do rivers bend?';
    const query = [`<s>${prompt}because of sand`, `bend?nobody knows`, 'no prompt in it'];
    const { json, headers } = await post('/get_reward', {
      query,
      prompts: [`<s>${prompt}`, prompt, 'x'],
      labels: ['', '', ''],
    });
    const direct = await client.batchScore(
      [
        [`<s>${prompt}`, 'because of sand'],
        ['bend?', 'nobody knows'],
        ['n', 'o prompt in it'],
      ].map(([text = '', response = '']): ScoreItem => ({
        prompt: { type: 'text', text },
        candidates: [response],
      })),
    );
    const rewards = direct.map((one) =>
      one.type === 'scored' && one.candidates[0]?.type === 'score' ? one.candidates[0].reward : NaN,
    );
    const answer = json as { rewards: number[]; scores: number[]; extra_logs: Record<string, number[]> };
    expect(answer.rewards).toEqual(rewards);
    expect(answer.scores).toEqual(rewards.map((reward) => 1 / (1 + Math.exp(-reward))));
    expect(Object.keys(answer.extra_logs)).toEqual(
      expect.arrayContaining(['chat/logic', 'scored/chat/logic', 'qa/truth', 'degraded']),
    );
    for (const column of Object.values(answer.extra_logs)) expect(column).toHaveLength(query.length);
    expect(headers.get('dmoerm-revision')).toBe((await client.getModel()).revision);
  });

  it('numbers for trainers have a point: Python would read 0 as an integer, and torch make another tensor of it', async () => {
    const body = JSON.stringify(BODIES['/get_reward']);
    const headers = { 'content-type': 'application/json' };
    const text = await (await fetch(`${base}/get_reward`, { method: 'POST', body, headers })).text();
    expect(text).toContain('"degraded":[0.0]');
    expect(text).not.toMatch(/[[,:]-?\d+[\],}]/);
  });

  it('/get_reward answers an empty query, which all but the first of several addresses get, with empty lists', async () => {
    expect((await post('/get_reward', { query: [], prompts: [], labels: [] })).json).toEqual({
      rewards: [],
      scores: [],
      extra_logs: {},
    });
  });

  it('/slime answers with the bare reward, /slime/multi with every capability under the same keys for every task', async () => {
    const { json: reward } = await post('/slime');
    const { json: multi } = await post('/slime/multi');
    expect(reward).toEqual(expect.any(Number));
    expect(multi).toMatchObject({
      reward,
      degraded: 0,
      'scored/chat/logic': 1,
      'scored/qa/truth': 0,
      'qa/truth': 0,
    });
    const { json: other } = await post('/slime/multi?task=qa');
    expect(Object.keys(other as object)).toEqual(Object.keys(multi as object));
    expect(other).toMatchObject({ 'scored/chat/logic': 0, 'scored/qa/truth': 1 });
  });

  it('the inference protocol answers sentences with float32 rewards', async () => {
    const sentences = ['hello, one', 'hello, two'];
    for (const [shape, data] of [
      [[2], sentences],
      [[2, 1], sentences.map((one) => [one])],
    ]) {
      const inputs = [{ name: 'sentences', shape, datatype: 'BYTES', data }];
      const { json } = await post('/v2/models/reward_model/infer', { id: 'x', inputs });
      const { outputs, ...rest } = json as { outputs: [{ data: number[]; shape: number[] }] };
      expect(rest).toMatchObject({ model_name: 'reward_model', id: 'x' });
      expect(outputs[0].shape).toEqual([2, 1]);
      expect(outputs[0].data.map(Math.fround)).toEqual(outputs[0].data);
    }
  });

  it('`dmoerm serve --http` starts one beside the router, and its ready file names it', async () => {
    const { json } = await post('/slime', undefined, `http://${served.addresses.gateway}`);
    expect(json).toBe((await post('/slime')).json);
  });

  it('says how it is, and what it answers', async () => {
    for (const path of ['/healthz', '/readyz', '/openapi.json'])
      expect((await documented.ask(base, { method: 'GET', path })).status).toBe(200);
  });

  it('many concurrent requests become few calls of the router, each with its own reward', async () => {
    const calls = async (): Promise<number> => {
      const { values } = await metrics.requestDurationSeconds.get();
      return values
        .filter(
          ({ metricName, labels }) =>
            metricName?.endsWith('_count') && `${labels.method}`.endsWith('/BatchScore'),
        )
        .reduce((sum, { value }) => sum + value, 0);
    };
    const { base: slow } = await services.gateway(router, ['--coalesce-ms', '100']);
    const alone = await Promise.all(
      ANSWERS.map(async (response) => (await post('/slime', { prompt: QUESTION, response })).json),
    );
    const before = await calls();
    const together = await Promise.all(
      Array.from(
        { length: 90 },
        async (_, i) => (await post('/slime', { prompt: QUESTION, response: ANSWERS[i % 3] }, slow)).json,
      ),
    );
    expect(together).toEqual(together.map((_, i) => alone[i % 3]));
    expect((await calls()) - before).toBeLessThan(45);
  });
});

describe('what it refuses', () => {
  it.each<[string, string, unknown, string, string]>([
    ['no JSON', '/v1/score', '{"items": [', 'BAD_JSON', 'body'],
    ['nothing', '/v1/score', undefined, 'BAD_REQUEST', 'body'],
    ['a list', '/v1/score', [], 'BAD_REQUEST', 'body'],
    ['no items', '/v1/score', {}, 'BAD_REQUEST', 'items'],
    [
      'a candidate that is no text',
      '/v1/score',
      { items: [{ candidates: ['x', 3] }] },
      'BAD_REQUEST',
      'items[0].candidates[1]',
    ],
    [
      'a misspelt field',
      '/v1/score',
      { items: [{ candidates: [], mesages: [] }] },
      'BAD_REQUEST',
      'items[0].mesages',
    ],
    [
      'an unknown role',
      '/v1/score',
      { items: [{ candidates: [], messages: [{ role: 'robot', content: '' }] }] },
      'BAD_REQUEST',
      'items[0].messages[0].role',
    ],
    [
      'a number as text',
      '/v1/score',
      { items: [{ candidates: ['x'], lambda: '1' }] },
      'BAD_REQUEST',
      'items[0].lambda',
    ],
    ['a query that is no list', '/get_reward', { query: 'x' }, 'BAD_REQUEST', 'query'],
    ['prompts of another number', '/get_reward', { query: ['x'], prompts: [] }, 'BAD_REQUEST', 'prompts'],
    ['a misspelt parameter', '/get_reward?truncaton=keep_end', undefined, 'BAD_PARAMETER', 'truncaton'],
    ['an unknown value', '/slime?aggregation=median', undefined, 'BAD_PARAMETER', 'aggregation'],
    ['parameters that contradict', '/slime?lambda=0.5', undefined, 'CONFLICTING_OPTIONS', 'lambda'],
    ['no response', '/slime/multi', { prompt: 'x' }, 'BAD_REQUEST', 'response'],
    [
      'another tensor',
      '/v2/models/reward_model/infer',
      { inputs: [{ name: 'tokens', shape: [0], datatype: 'INT64', data: [] }] },
      'BAD_REQUEST',
      'inputs[0].name',
    ],
    [
      'a wrong shape',
      '/v2/models/reward_model/infer',
      { inputs: [{ name: 'sentences', shape: [2], datatype: 'BYTES', data: ['x'] }] },
      'BAD_REQUEST',
      'inputs[0].shape',
    ],
  ])('%s: 400 with the field', async (what, path, body, reason, field) => {
    const reply =
      what === 'nothing'
        ? await documented.ask(base, { path })
        : await post(path, body ?? BODIES[path.split('?')[0] ?? '']);
    expect([reply.status, errorOf(reply)]).toEqual([400, expect.objectContaining({ reason, field })]);
  });

  it.each(Object.keys(BODIES))('%s: other media types, and bodies over the limit', async (path) => {
    const { base: small } = await services.gateway(router, ['--max-body-bytes', '1024']);
    const text = JSON.stringify(BODIES[path]);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded'])
      expect(
        (await documented.ask(base, { path, body: text, headers: { 'content-type': type } })).status,
      ).toBe(415);
    expect((await documented.ask(small, { path, body: text + ' '.repeat(1024) })).status).toBe(413);
    expect((await post(path, undefined, small)).status).toBe(200);
  });

  it('whatever JSON comes, the answer is documented and no number is made up', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 });
    const item = fc.record(
      { id: text, text, candidates: fc.array(text, { maxLength: 3 }), task: text, lambda: fc.double() },
      { requiredKeys: ['candidates'] },
    );
    const body = fc.oneof(
      fc.jsonValue(),
      fc.record({ items: fc.array(fc.oneof(item, fc.jsonValue()), { maxLength: 3 }) }),
    );
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        const { status, json } = await post('/v1/score', value ?? 'null');
        expect([200, 400]).toContain(status);
        if (status === 200)
          expect((json as { results: unknown[] }).results).toHaveLength(
            (value as { items: unknown[] }).items.length,
          );
      }),
      { numRuns: 60 },
    );
  });

  it('paths that it does not have, and the playground where there is none', async () => {
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/v1/score'],
      ['POST', '/v1/model'],
      ['GET', '/..%2f..%2fpackage.json'],
    ] as const) {
      const response = await fetch(`${base}${path}`, { method });
      expect([response.status, await response.json()]).toEqual([
        404,
        { error: expect.objectContaining({ reason: 'UNKNOWN_PATH' }) },
      ]);
    }
  });

  it('a body that takes too long to arrive', async () => {
    const { address } = await services.gateway(router, ['--body-timeout-ms', '500']);
    const socket = connect(Number(address.split(':')[1]), '127.0.0.1');
    socket.write(
      'POST /slime HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 408 /);
    await once(socket, 'close');
  });
});

describe('a trainer never gets a number for what has no reward', () => {
  it.each([
    ['/get_reward', { query: ['good', ''], prompts: ['', ''] }, 'query[1]'],
    ['/slime', { prompt: QUESTION, response: '' }, 'response'],
    ['/slime/multi', { prompt: [], response: 'x' }, 'response'],
    [
      '/v2/models/reward_model/infer',
      { inputs: [{ name: 'sentences', shape: [2], datatype: 'BYTES', data: ['fine, this one', ''] }] },
      'inputs[0].data[1]',
    ],
    ['/slime?task=nonsense', undefined, 'task'],
    [`/get_reward?revision=${'0'.repeat(64)}`, undefined, 'revision'],
  ])('%s: one bad item fails the answer as a whole', async (path, body, field) => {
    const reply = await post(path, body ?? BODIES[path.split('?')[0] ?? '']);
    expect([reply.status, errorOf(reply)]).toEqual([422, expect.objectContaining({ field })]);
  });

  it('an expert that computes NaN', async () => {
    const damaged = join(folder, 'damaged');
    cpSync(bundle, damaged, { recursive: true });
    overflow(new DamagedBundle(damaged));
    const { address } = await services.router(damaged, folder, peers());
    // The damaged revision must be on all of them.
    const { base: other } = await services.gateway(address);
    const mesh = {
      routers: [served.addresses.router],
      experts: [served.addresses.expert],
      aggregators: [served.addresses.aggregator],
    };
    await activateBundle(damaged, mesh, { keep: true });
    try {
      for (const path of TRAINERS) {
        const reply = await post(path, undefined, other);
        expect([path, reply.status, errorOf(reply)['reason']]).toEqual([path, 422, 'NON_FINITE']);
      }
      const { json } = await post('/v1/score', undefined, other);
      expect(json).toMatchObject({ results: [{ candidates: [{ error: { reason: 'NON_FINITE' } }] }] });
    } finally {
      await activateBundle(bundle, mesh);
    }
    // The control: without the damage the same requests have rewards.
    for (const path of TRAINERS) expect((await post(path)).status).toBe(200);
  });

  it('nobody at the router', async () => {
    const { base: lonely } = await services.gateway(NOBODY, ['--deadline-ms', '1500'], false);
    const replies = await Promise.all(Object.keys(BODIES).map((path) => post(path, undefined, lonely)));
    for (const { status, headers } of replies)
      expect([status, headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    expect((await documented.ask(lonely, { method: 'GET', path: '/v1/model' })).status).toBe(503);
    expect((await documented.ask(lonely, { method: 'GET', path: '/readyz' })).status).toBe(503);
    expect((await documented.ask(lonely, { method: 'GET', path: '/healthz' })).status).toBe(200);
  });
});

describe('overload', () => {
  /** A router with room for one item, whose experts are away: that item stays for seconds. */
  const startNarrow = async (): Promise<string> => {
    const flags = [
      '--expert',
      NOBODY,
      '--aggregator',
      served.addresses.aggregator,
      '--max-in-flight-items',
      '1',
    ];
    return (await services.router(bundle, folder, flags, false)).address;
  };
  /** A gateway that sends every item at once, as a call of its own. */
  const startEager = async (to: string, deadlineMs: number, ...more: string[]): Promise<string> => {
    const one = ['--coalesce-items', '1', '--coalesce-ms', '0', '--deadline-ms', `${deadlineMs}`, ...more];
    return (await services.gateway(to, one)).base;
  };

  it('who finds the queue full for longer than he can wait is told when to come back; who is in it, that it is late', async () => {
    const narrow = await startNarrow();
    const [patient, hasty] = [await startEager(narrow, 3_000), await startEager(narrow, 450)];
    const first = post('/v1/score', undefined, patient);
    let refused: Reply;
    // Until the first one is in.
    do refused = await post('/v1/score', undefined, hasty);
    while (refused.status === 504);
    expect([refused.status, errorOf(refused)['reason'], refused.headers.get('retry-after')]).toEqual([
      429,
      'QUEUE_FULL',
      '1',
    ]);
    expect((await post('/get_reward', undefined, hasty)).status).toBe(503);
    expect((await first).status).toBe(504);
  });

  it('whoever goes away makes room', async () => {
    const full = await startEager(await startNarrow(), 2_000);
    const gone = new AbortController();
    const first = documented.ask(full, { path: '/slime', body: BODIES['/slime'], signal: gone.signal });
    const second = post('/v1/score', undefined, full);
    gone.abort();
    await expect(first).rejects.toThrow(/abort/i);
    // It had to wait for the place, and has it now: late, not refused.
    expect((await second).status).toBe(504);
  });

  it('requests beyond the bound are refused at once', async () => {
    const narrow = await startEager(await startNarrow(), 1_000, '--max-in-flight-calls', '1');
    const replies = await Promise.all([1, 2, 3].map(() => post('/v1/score', undefined, narrow)));
    expect(replies.map(({ status }) => status).sort()).toEqual([429, 429, 504]);
  });
});

describe('identities', () => {
  const tokens = { 'team-a': createToken(), 'team-b': createToken(), gateway: createToken() };
  const access = join(folder, 'access.yaml');
  let secure: string;

  beforeAll(async () => {
    const roles = { 'team-a': 'trainer', 'team-b': 'trainer', gateway: 'service' } as const;
    const entries = Object.entries(tokens).map(([name, token]) => {
      const role = roles[name as keyof typeof roles];
      const quota = name === 'team-a' ? '\n    items_per_second: 1' : '';
      return `  - name: ${name}\n    role: ${role}\n    token_sha256: [${digestToken(token)}]${quota}`;
    });
    writeFileSync(access, `identities:\n${entries.join('\n')}\n`);
    ({ base: secure } = await services.gateway(router, ['--access-file', access, '--deadline-ms', '500']));
  });

  const as = (who: keyof typeof tokens | null, path: string, body: unknown = BODIES[path]): Promise<Reply> =>
    documented.ask(secure, {
      path,
      body,
      headers: who === null ? {} : { authorization: `Bearer ${tokens[who]}` },
    });

  it.each(Object.keys(BODIES))('%s: a token that is known, and no other', async (path) => {
    expect((await as('team-b', path)).status).toBe(200);
    const strangers = [{}, { authorization: `Bearer ${createToken()}` }, { authorization: 'Basic eDp5' }];
    for (const headers of strangers) {
      const reply = await documented.ask(secure, { path, body: BODIES[path], headers });
      expect([reply.status, reply.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="dmoerm"']);
    }
  });

  it('the model is for those who may score; health and the document are for everybody', async () => {
    expect((await documented.ask(secure, { method: 'GET', path: '/v1/model' })).status).toBe(401);
    for (const path of ['/healthz', '/readyz', '/openapi.json'])
      expect((await documented.ask(secure, { method: 'GET', path })).status).toBe(200);
  });

  it('a quota is one identity’s, and says when it is paid', async () => {
    const many = { items: Array.from({ length: 15 }, () => ({ text: 'hello', candidates: ['x'] })) };
    expect((await as('team-a', '/v1/score', many)).status).toBe(200);
    const refused = await as('team-a', '/v1/score');
    expect([refused.status, errorOf(refused)['reason']]).toEqual([429, 'QUOTA_EXCEEDED']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(4);
    expect((await as('team-a', '/get_reward')).status).toBe(503);
    expect((await as('team-b', '/v1/score')).status).toBe(200);
  });

  it('a router that does not know the gateway is the gateway’s fault, not its callers’', async () => {
    const { address } = await services.router(bundle, folder, [...peers(), '--access-file', access]);
    const { base: stranger } = await services.gateway(address, ['--deadline-ms', '2000'], false);
    for (const path of Object.keys(BODIES)) {
      const reply = await post(path, undefined, stranger);
      expect([reply.status, errorOf(reply)['reason']]).toEqual([500, 'ROUTER_REFUSES']);
    }
    expect((await documented.ask(stranger, { method: 'GET', path: '/v1/model' })).status).toBe(500);
    const { base: known } = await services.gateway(address, ['--router-token', tokens.gateway]);
    expect((await post('/slime', undefined, known)).status).toBe(200);
  });

  it('`dmoerm serve --http` beside a router that knows identities: the gateway is one of them', async () => {
    const env = { ...QUICK_END, DMOERM_GATEWAY_ROUTER_TOKEN: tokens.gateway };
    const mesh = await serve(bundle, folder, ['--access-file', access, '--http', '127.0.0.1:0'], env);
    const ask = (headers: Readonly<Record<string, string>>): Promise<Reply> =>
      documented.ask(`http://${mesh.addresses.gateway}`, { path: '/slime', body: BODIES['/slime'], headers });
    expect((await ask({ authorization: `Bearer ${tokens['team-b']}` })).status).toBe(200);
    expect((await ask({})).status).toBe(401);
    mesh.child.kill('SIGTERM');
    expect(await exitStatus(mesh.child)).toBe(0);
  });

  it('TLS, with a client certificate in place of a token', async () => {
    const authority = await createAuthority(folder, 'gateway');
    const { certificate, key } = await authority.issue('server', { names: ['IP:127.0.0.1'] });
    const trainer = await authority.issue('trainer', { names: ['DNS:trainer.lab'] });
    const byName = join(folder, 'by-name.yaml');
    writeFileSync(
      byName,
      'identities:\n  - name: lab\n    role: trainer\n    subjects: ["DNS:trainer.lab"]\n',
    );
    const { address } = await services.gateway(router, [
      ...[
        '--tls-cert',
        certificate,
        '--tls-key',
        key,
        '--tls-client-ca',
        authority.ca,
        '--access-file',
        byName,
      ],
    ]);
    const statusWith = async (identity: object): Promise<number | undefined> => {
      const request = secureRequest(`https://${address}/v1/model`, {
        ca: readFileSync(authority.ca),
        agent: false,
        ...identity,
      });
      request.end();
      const [response] = (await once(request, 'response')) as [{ statusCode?: number; resume: () => void }];
      response.resume();
      return response.statusCode;
    };
    const files = { cert: readFileSync(trainer.certificate), key: readFileSync(trainer.key) };
    expect([await statusWith(files), await statusWith({})]).toEqual([200, 401]);
  });
});

describe('browsers', () => {
  it('pages of other origins are let in only if they are named', async () => {
    const origin = 'https://lab.example';
    const { base: open } = await services.gateway(router, ['--cors-origins', `[${origin}]`]);
    const allowed = async (to: string, from: string): Promise<string | null> =>
      (await fetch(`${to}/healthz`, { headers: { origin: from } })).headers.get(
        'access-control-allow-origin',
      );
    expect([
      await allowed(base, origin),
      await allowed(open, origin),
      await allowed(open, 'https://evil.example'),
    ]).toEqual([null, origin, null]);
    const preflight = { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } };
    expect((await fetch(`${base}/v1/score`, preflight)).status).toBe(404);
    expect((await fetch(`${open}/v1/score`, preflight)).status).toBe(204);
  });

  it.each([...Object.keys(BODIES), '/v1/model'])(
    '%s: a page that makes its own name point at this machine is not let in',
    async (path) => {
      const asked = path === '/v1/model' ? ({ method: 'GET', path } as const) : { path, body: BODIES[path] };
      const { host } = new URL(base);
      for (const [name, status] of [
        ['evil.example', 403],
        [host.replace('127.0.0.1', 'localhost'), 200],
      ] as const)
        expect((await documented.ask(base, { ...asked, headers: { host: name } })).status).toBe(status);
    },
  );

  it('the playground is served where it is built', async () => {
    const page = join(folder, 'page');
    mkdirSync(join(page, 'assets'), { recursive: true });
    writeFileSync(join(page, 'index.html'), '<!doctype html><title>playground</title>');
    writeFileSync(join(page, 'assets', 'main.js'), 'export {};');
    const { base: with_ } = await services.gateway(router, ['--playground', page]);
    const response = await fetch(`${with_}/`);
    expect([
      response.status,
      response.headers.get('content-type'),
      response.headers.get('content-security-policy'),
    ]).toEqual([200, expect.stringContaining('text/html'), expect.stringContaining("default-src 'self'")]);
    expect((await fetch(`${with_}/assets/main.js`)).headers.get('content-type')).toContain('javascript');
    expect((await fetch(`${with_}/..%2faccess.yaml`)).status).toBe(404);
    expect((await post('/slime', undefined, with_)).status).toBe(200);
  });
});

describe('the end of a gateway', () => {
  it('tells who outlasts the grace to come back', async () => {
    const away = ['--expert', NOBODY, '--aggregator', served.addresses.aggregator];
    const { address } = await services.router(bundle, folder, away, false);
    const { service, base: ending } = await services.gateway(address);
    const under = post('/get_reward', undefined, ending);
    while ((await metrics.inflightRequests.get()).values.every(({ value }) => value === 0))
      await new Promise(setImmediate);
    await service.stop();
    const { status, json } = await under;
    expect([status, json]).toEqual([503, { error: expect.objectContaining({ reason: 'DRAINING' }) }]);
  });

  it('answers what is under way and refuses what comes then', async () => {
    const { service, base: ending } = await services.gateway(router, ['--coalesce-ms', '300']);
    const under = post('/slime', undefined, ending);
    // In flight once the gateway has counted it.
    while ((await metrics.inflightRequests.get()).values.every(({ value }) => value === 0))
      await new Promise(setImmediate);
    const stopped = service.stop();
    expect((await documented.ask(ending, { method: 'GET', path: '/readyz' })).status).toBe(503);
    const refused = await post('/v1/score', undefined, ending);
    expect([refused.status, errorOf(refused)['reason']]).toEqual([503, 'DRAINING']);
    expect((await under).status).toBe(200);
    await stopped;
    await expect(fetch(`${ending}/healthz`)).rejects.toThrow();
  });
});

it('every documented answer has been seen', () => {
  expect(documented.all.filter((one) => !documented.seen.has(one))).toEqual([]);
});

/** Makes every weight tensor of the experts of task `chat` hold a value that no sum with it survives. */
function overflow(damaged: DamagedBundle): void {
  for (const path of damaged.files('.safetensors').filter((one) => one.startsWith('adapters/chat/'))) {
    const bytes = damaged.read(path);
    const start = 8 + Number(bytes.readBigUInt64LE());
    const { __metadata__: _, ...tensors } = JSON.parse(bytes.subarray(8, start).toString()) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    for (const { data_offsets: offsets } of Object.values(tensors))
      bytes.writeFloatLE(3e38, start + offsets[0]);
    damaged.write(path, bytes);
  }
  damaged.sign();
}

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, type Client, type ItemResult, type ScoreItem } from '@dmoerm/client';
import { createSpecBundle, SPEC_TASKS } from '@dmoerm/testing';
import { exitStatus, run, serve, type Served } from './serve';

jest.setTimeout(120_000);

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-e2e-'));
const bundle = join(folder, 'bundle');
const words = ['tell', 'me', 'more', 'about', 'rivers', 'and', 'why', 'they', 'bend', 'so', 'often'];

beforeAll(() => createSpecBundle(bundle, folder));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function item(word: string, ...candidates: string[]): ScoreItem {
  return {
    prompt: { type: 'conversation', messages: [{ role: 'user', content: `${word}, ${words.join(' ')}` }] },
    candidates,
  };
}

/** Rewards, capability scores and contributions of all candidates; a failure has none. */
function numbers(result: ItemResult): unknown {
  if (result.type === 'error') return result.error.reason;
  return result.candidates.map((one) =>
    one.type === 'score' ? [one.reward, one.capabilities] : one.error.reason,
  );
}

describe('a mesh of processes', () => {
  const meshes: { served: Served; client: Client }[] = [];

  beforeAll(async () => {
    for (const threads of ['1', '2']) {
      process.env['DMOERM_EXPERT_THREADS'] = threads;
      const served = await serve(bundle, folder);
      meshes.push({ served, client: createClient({ address: served.addresses.router }) });
    }
    delete process.env['DMOERM_EXPERT_THREADS'];
  });

  afterAll(async () => {
    for (const { served, client } of meshes) {
      client.close();
      served.child.kill('SIGTERM');
      expect(await exitStatus(served.child)).toBe(0);
    }
  });

  const candidates = Array.from(
    { length: 64 },
    (_, n) => words.slice(0, 1 + (n % words.length)).join(' ') + ` number ${n}`,
  );

  it.each(SPEC_TASKS.map(({ name, word }) => [name, word]))(
    '%s: a candidate alone, in a batch of 64, reordered, on 1 and 2 threads has the same bits',
    async (_, word) => {
      const [one, two] = meshes.map(({ client }) => client) as [Client, Client];
      const batch = (await one.batchScore([item(word, ...candidates)]))[0] as ItemResult;
      const scores = numbers(batch) as unknown[];
      expect(scores.every(Array.isArray)).toBe(true);
      for (const n of [0, 7, 63])
        expect(numbers((await two.batchScore([item(word, candidates[n] ?? '')]))[0] as ItemResult)).toEqual([
          scores[n],
        ]);
      const reversed = (await two.batchScore([item(word, ...[...candidates].reverse())]))[0] as ItemResult;
      expect((numbers(reversed) as unknown[]).reverse()).toEqual(scores);
      const other = (await one.batchScore([item(word, 'something else')]))[0] as ItemResult;
      expect(numbers(other)).not.toEqual([scores[0]]);
    },
  );

  it('bad items get an error each, the others keep their rewards to the bit', async () => {
    const { client } = meshes[0] as (typeof meshes)[number];
    const good = item('hello', 'yes', 'no');
    const [want] = (await client.batchScore([good])).map(numbers);
    const bad: [ScoreItem, string][] = [
      [{ prompt: { type: 'conversation', messages: [] }, candidates: ['a'] }, 'EMPTY_CONVERSATION'],
      [
        {
          prompt: { type: 'conversation', messages: [{ role: 'assistant', content: 'a' }] },
          candidates: ['a'],
        },
        'LAST_NOT_USER',
      ],
      [item('hello'), 'NO_CANDIDATES'],
      [{ ...good, options: { routing: { type: 'forced', task: 'nonsense' } } }, 'UNKNOWN_TASK'],
      [{ ...good, options: { revision: '0'.repeat(64) } }, 'REVISION_NOT_ACTIVE'],
    ];
    const results = await client.batchScore([
      good,
      ...bad.map(([one]) => one),
      item('hello', '', 'no', 'x '.repeat(5000)),
    ]);
    expect(numbers(results[0] as ItemResult)).toEqual(want);
    bad.forEach(([, reason], i) => expect(numbers(results[i + 1] as ItemResult)).toBe(reason));
    expect(numbers(results.at(-1) as ItemResult)).toEqual([
      'EMPTY_CANDIDATE',
      (want as unknown[])[1],
      'TOO_LONG',
    ]);
  });

  it('the command line scores a file: good lines keep their rewards, bad lines are named, the status says 1', async () => {
    const file = join(folder, 'items.jsonl');
    const line = { id: 'a', messages: [{ role: 'user', content: 'hello' }], candidates: ['yes', 'no'] };
    writeFileSync(file, `${JSON.stringify(line)}\nno json\n{"id": "c"}\n`);
    const { served } = meshes[0] as (typeof meshes)[number];
    const { child } = run(['score', file, '--address', served.addresses.router, '--output', 'jsonl']);
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    expect(await exitStatus(child)).toBe(1);
    const records = text
      .trim()
      .split('\n')
      .map((one) => JSON.parse(one) as Record<string, never>);
    expect(records[0]).toMatchObject({
      id: 'a',
      revision: expect.stringMatching(/^[0-9a-f]{64}$/),
      candidates: [{ degraded: false }, {}],
    });
    expect(records[1]).toMatchObject({ id: 'line 2', error: { reason: 'BAD_RECORD' } });
    expect(records[2]).toMatchObject({
      id: 'c',
      error: { reason: 'BAD_RECORD', field: expect.stringContaining('line 3') },
    });
  });
});

describe('what goes wrong with processes', () => {
  it('a dead expert ends the mesh with its name and status 3, and takes no process along', async () => {
    const served = await serve(bundle, folder);
    const children = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(served.child.pid)], {
      encoding: 'utf8',
    })
      .trim()
      .split('\n');
    const expert = Number(
      children
        .find((one) => one.includes('expert'))
        ?.trim()
        .split(' ')[0],
    );
    process.kill(expert, 'SIGKILL');
    expect(await exitStatus(served.child)).toBe(3);
    expect(served.log()).toMatch(/the expert ended by SIGKILL/);
    for (const one of children) expect(() => process.kill(Number(one.trim().split(' ')[0]), 0)).toThrow();
  });

  it('a port in use is named with the remedy', async () => {
    const served = await serve(bundle, folder);
    await expect(serve(bundle, folder, ['--listen', served.addresses.router])).rejects.toThrow(
      served.addresses.router,
    );
    served.child.kill('SIGTERM');
    expect(await exitStatus(served.child)).toBe(0);
  });

  it.each([
    ['an unknown bundle', ['serve', '--bundle', join(folder, 'nothing')], /no bundle/, 3],
    ['a missing file', ['score', join(folder, 'nothing.jsonl')], /there is no file/, 2],
    ['an unreachable router', ['score', __filename, '--address', '127.0.0.1:1'], /./, 3],
    ['an unknown option', ['score', '--nonsense'], /unknown option/, 2],
  ])('%s ends with a sentence and its status', async (_, args, sentence, status) => {
    const { child, log } = run(args);
    expect(await exitStatus(child)).toBe(status);
    expect(log()).toMatch(sentence);
  });
});

describe('bundle activate', () => {
  const next = join(folder, 'next');
  const meshFile = join(folder, 'mesh.json');
  let served: Served;
  let client: Client;

  beforeAll(async () => {
    await createSpecBundle(next, folder, 2);
    served = await serve(bundle, folder);
    writeFileSync(meshFile, JSON.stringify(served.addresses));
    client = createClient({ address: served.addresses.router });
  });
  afterAll(async () => {
    client.close();
    served.child.kill('SIGTERM');
    await exitStatus(served.child);
  });

  const activate = async (...args: string[]): Promise<{ status: number | null; log: string }> => {
    const { child, log } = run(['bundle', 'activate', ...args, '--mesh', meshFile]);
    return { status: await exitStatus(child), log: log() };
  };

  it('a bundle that one cannot load changes nothing and is named', async () => {
    const before = (await client.getModel()).revision;
    const { status, log } = await activate(join(folder, 'nothing'));
    expect(status).toBe(2);
    expect(log).toContain('UNKNOWN_BUNDLE');
    expect((await client.getModel()).revision).toBe(before);
  });

  it('swaps the model under load: every item has a reward of the old or of the new revision', async () => {
    const old = (await client.getModel()).revision;
    const good = item('hello', 'yes', 'no');
    const [oldBits] = (await client.batchScore([good])).map(numbers);
    const seen = new Map<string, unknown>();
    const swap = activate(next);
    let over = false;
    void swap.then(() => (over = true));
    do {
      const [result] = await client.batchScore([good]);
      if (result?.type === 'error' || result === undefined) throw result?.error ?? new Error('lost');
      seen.set(result.revision, numbers(result));
    } while (!over);
    expect((await swap).status).toBe(0);
    const { revision } = await client.getModel();
    expect(revision).not.toBe(old);
    const [newBits] = (await client.batchScore([good])).map(numbers);
    expect(newBits).not.toEqual(oldBits);
    const allowed = new Map([
      [old, oldBits],
      [revision, newBits],
    ]);
    for (const [name, bits] of seen) expect(bits).toEqual(allowed.get(name));
    await expect(client.score({ ...good, options: { revision: old } })).rejects.toMatchObject({
      reason: 'REVISION_NOT_ACTIVE',
    });
  });

  it('returns to what was kept, and back; without it the way back is named', async () => {
    const rollback = async (): Promise<{ status: number | null; log: string }> => {
      const { child, log } = run(['bundle', 'rollback', '--mesh', meshFile]);
      return { status: await exitStatus(child), log: log() };
    };
    const { revision: second } = await client.getModel();
    const none = await rollback();
    expect([none.status, none.log]).toEqual([2, expect.stringContaining('NO_PREVIOUS_REVISION')]);
    expect((await activate(bundle, '--keep')).status).toBe(0);
    const { revision: first } = await client.getModel();
    expect(first).not.toBe(second);
    for (const expected of [second, first]) {
      expect((await rollback()).status).toBe(0);
      expect((await client.getModel()).revision).toBe(expected);
    }
  });

  it('a candidate is tried on the traffic: a report beside unchanged answers, and nothing stays loaded', async () => {
    const shadow = async (...args: string[]): Promise<{ status: number | null; log: string }> => {
      const { child, log } = run(['shadow', ...args, '--mesh', meshFile]);
      return { status: await exitStatus(child), log: log() };
    };
    const json = join(folder, 'shadow.json');
    const report = (): { items: number; tasks: { task: string; sameOrder: number; pairs: number }[] } =>
      (JSON.parse(readFileSync(json, 'utf8')) as { reports: [ReturnType<typeof report>] }).reports[0];
    const items = Array.from({ length: 12 }, (_, i) => item('hello', 'yes', `no ${i}`, 'because'));
    const before = (await client.batchScore(items)).map(numbers);
    expect((await shadow('report')).log).toContain('NO_SHADOW');
    expect((await shadow('start', next, '--share', '2')).log).toContain('BAD_SHARE');
    expect((await shadow('start', next, '--share', '1')).status).toBe(0);
    expect((await client.batchScore(items)).map(numbers)).toEqual(before);
    // The second scoring is nobody's to wait for: asked until it is there.
    do expect((await shadow('report', '--json', json)).status).toBe(0);
    while (report().items < items.length);
    expect(report().tasks).toMatchObject([{ task: 'chat', candidates: 36 }]);
    expect(report().tasks[0]?.pairs).toBeGreaterThan(0);
    expect(report().tasks[0]?.sameOrder).toBeLessThan(1);
    // The same bundle as its own candidate agrees with itself.
    expect((await shadow('start', bundle, '--share', '1')).status).toBe(0);
    await client.batchScore(items);
    do await shadow('report', '--json', json);
    while (report().items < items.length);
    expect(report().tasks).toMatchObject([{ sameOrder: 1, correlation: expect.closeTo(1, 6) }]);
    expect((await shadow('stop')).status).toBe(0);
    expect((await shadow('stop')).log).toContain('NO_SHADOW');
  }, 60_000);
});

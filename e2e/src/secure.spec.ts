import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, type Client, type ClientOptions } from '@dmoerm/client';
import { createAuthority, createSpecBundle } from '@dmoerm/testing';
import { exitStatus, run, serve, type Served } from './serve';

jest.setTimeout(120_000);

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-secure-'));
const file = (name: string): string => join(folder, name);
const bundle = file('bundle');
const tokens: Record<'trainer' | 'operator', string> = { trainer: '', operator: '' };
let served: Served;
let ca: string;

/** A token and its digest, as `dmoerm token` makes them. */
async function makeToken(): Promise<[token: string, entry: string]> {
  const { child } = run(['token']);
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  expect(await exitStatus(child)).toBe(0);
  return text.trim().split('\n') as [string, string];
}

beforeAll(async () => {
  await createSpecBundle(bundle, folder);
  await createSpecBundle(file('next'), folder, 2);
  const authority = await createAuthority(folder, 'mesh');
  ({ ca } = authority);
  const { certificate, key } = await authority.issue('router', { names: ['DNS:localhost', 'IP:127.0.0.1'] });
  let access = 'identities:\n';
  for (const role of ['trainer', 'operator'] as const) {
    const [token, entry] = await makeToken();
    tokens[role] = token;
    writeFileSync(file(`${role}.token`), `${token}\n`);
    const quota = role === 'trainer' ? '    items_per_second: 1000\n' : '';
    access += `  - name: the-${role}\n    role: ${role}\n    ${entry}\n${quota}`;
  }
  writeFileSync(file('access.yaml'), access);
  served = await serve(bundle, folder, [
    ...['--tls-cert', certificate],
    ...['--tls-key', key],
    ...['--access-file', file('access.yaml')],
  ]);
  writeFileSync(file('mesh.json'), JSON.stringify(served.addresses));
  const item = { id: 'a', messages: [{ role: 'user', content: 'hello' }], candidates: ['yes'] };
  writeFileSync(file('items.jsonl'), JSON.stringify(item));
});
afterAll(async () => {
  served.child.kill('SIGTERM');
  expect(await exitStatus(served.child)).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});

async function withClient<T>(
  options: Omit<ClientOptions, 'address'>,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = createClient({
    address: served.addresses.router,
    timeoutMs: 5_000,
    patient: false,
    ...options,
  });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

const ITEM = {
  prompt: { type: 'conversation', messages: [{ role: 'user', content: 'hello' }] },
  candidates: ['yes'],
} as const;

describe('a mesh with TLS and tokens', () => {
  it('scores for whoever has a token, in the library and on the command line', async () => {
    const scored = await withClient({ tls: { ca }, token: tokens.trainer }, (client) => client.score(ITEM));
    expect(scored.candidates).toMatchObject([{ type: 'score' }]);
    const { child } = run([
      ...['score', file('items.jsonl'), '--address', served.addresses.router],
      ...['--ca', ca, '--token-file', file('trainer.token')],
    ]);
    expect(await exitStatus(child)).toBe(0);
  });

  it.each([
    ['in plaintext', 'UNAVAILABLE', () => ({ token: tokens.trainer })],
    ['without a token', 'UNAUTHENTICATED', () => ({ tls: { ca } })],
    [
      'with a wrong token',
      'UNAUTHENTICATED',
      () => ({ tls: { ca }, token: tokens.trainer.replace(/.$/, '_') }),
    ],
  ])('refuses who comes %s', async (_, code, options) => {
    await expect(withClient(options(), (client) => client.score(ITEM))).rejects.toMatchObject({ code });
  });

  it('lets operators swap the model, and no trainer', async () => {
    const activate = async (token: string): Promise<{ status: number | null; log: string }> => {
      const { child, log } = run([
        ...['bundle', 'activate', file('next'), '--mesh', file('mesh.json')],
        ...['--ca', ca, '--token-file', file(token)],
      ]);
      return { status: await exitStatus(child), log: log() };
    };
    const revision = () =>
      withClient(
        { tls: { ca }, token: tokens.trainer },
        async (client) => (await client.getModel()).revision,
      );
    const before = await revision();
    const refused = await activate('trainer.token');
    expect(refused).toMatchObject({ status: 2, log: expect.stringContaining('PERMISSION_DENIED') });
    expect(await revision()).toBe(before);
    expect((await activate('operator.token')).status).toBe(0);
    expect(await revision()).not.toBe(before);
  });

  it('says nothing of secrets', () => {
    const key = readFileSync(file('router.key'), 'utf8').split('\n')[1] ?? '';
    for (const secret of [...Object.values(tokens), key]) expect(served.log()).not.toContain(secret);
  });
});

it('a mesh that other machines could reach needs TLS and identities, or a word that it shall not', async () => {
  const { child, log } = run(['serve', '--bundle', bundle, '--listen', '0.0.0.0:0']);
  expect(await exitStatus(child)).not.toBe(0);
  expect(log()).toMatch(/0\.0\.0\.0:0 is open to other machines: give --tls-cert/);
});

import { createToken, digestToken } from '@dmoerm/rpc';
import { logger } from '@dmoerm/telemetry';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openAccess } from './access-file';
import type { AccessFromFile } from './access-file';

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-access-'));
const path = join(folder, 'access.yaml');
const token = createToken();
let access: AccessFromFile | null = null;

beforeAll(() => {
  logger.level = 'silent';
});
afterEach(() => access?.close());
afterAll(() => rmSync(folder, { recursive: true }));

function open(text: string): AccessFromFile {
  writeFileSync(path, text);
  return (access = openAccess(path));
}

const nameOf = (found: ReturnType<AccessFromFile['identify']>): string | null => found?.name ?? null;
const byToken = () =>
  nameOf(access?.identify({ subjects: undefined, authorization: `Bearer ${token}` }) ?? null);

const ALICE = `
  - name: alice
    role: trainer
    token_sha256: [${digestToken(token)}]
    items_per_second: 50`;
const ROUTER = `
  - name: router
    role: service
    subjects: ['URI:spiffe://mesh/router']`;

describe('openAccess', () => {
  it('reads identities with roles, proofs and quotas', () => {
    open(`identities:${ALICE}${ROUTER}`);
    expect(access?.identify({ subjects: undefined, authorization: `Bearer ${token}` })).toMatchObject({
      name: 'alice',
      role: 'trainer',
      quota: { items: 50, tokens: null },
    });
    const subjects = 'DNS:router.mesh, URI:spiffe://mesh/router';
    expect(nameOf(access?.identify({ subjects, authorization: undefined }) ?? null)).toBe('router');
    expect(access?.hasTokens).toBe(true);
  });

  it('reads the file again when it changes; one that is not valid changes nothing', async () => {
    open(`identities:${ALICE}${ROUTER}`);
    expect(byToken()).toBe('alice');
    writeFileSync(path, 'identities: nobody');
    await sleep(1_500);
    expect(byToken()).toBe('alice');
    writeFileSync(path, `identities:${ROUTER}`);
    while (byToken() !== null) await sleep(50);
  });

  it.each([
    ['no YAML', `identities: [${token}`],
    ['no identities', 'identities: []'],
    ['a role that is none', 'identities: [{name: a, role: admin}]'],
    ['a token instead of its digest', `identities: [{name: a, role: trainer, token_sha256: [${token}]}]`],
    ['a subject without its kind', 'identities: [{name: a, role: service, subjects: [router]}]'],
    ['a key that is none', 'identities: [{name: a, role: trainer, quota: 1}]'],
    ['one token twice', `identities:${ALICE}${ALICE.replace('alice', 'bob')}`],
  ])('refuses %s, without a word of the content', (_, text) => {
    expect(() => open(text)).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        reason: 'BAD_ACCESS_FILE',
        field: '--access-file',
      }),
    );
    expect(() => open(text)).not.toThrow(token);
  });
});

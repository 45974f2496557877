import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonicalJson, sha256 } from './digest';
import { openBundle } from './bundle';
import { pullBase } from './pull';

/** A bundle that the repository carries without its base: what is wrong is found before the base is asked for. */
const CARRIED = join(__dirname, '..', '..', '..', 'bundles', 'smollm2-135m');

describe('openBundle refuses what is not the bundle that was made', () => {
  let folder: string;
  let cacheDir: string;
  const manifestFile = (): string => join(folder, 'dmoerm.json');
  const edit = (change: (manifest: Record<string, object>) => void): void => {
    const manifest = JSON.parse(readFileSync(manifestFile(), 'utf8')) as Record<string, object>;
    change(manifest);
    writeFileSync(manifestFile(), JSON.stringify(manifest));
  };
  const flip = (path: string, at: number): void => {
    const bytes = readFileSync(join(folder, path));
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(join(folder, path), bytes);
  };

  beforeEach(() => {
    cacheDir = mkdtempSync(join(tmpdir(), 'dmoerm-bundle-'));
    folder = join(cacheDir, 'bundle');
    cpSync(CARRIED, folder, { recursive: true });
  });
  afterEach(() => rmSync(cacheDir, { recursive: true }));

  it('an untouched copy passes all checks of its files and then asks for the base, with the command that fetches it', async () => {
    await expect(openBundle(folder, { cacheDir })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'BASE_MISSING',
      message: expect.stringContaining('base pull smollm2-135m'),
    });
  });

  const cases: [string, () => void, string, string][] = [
    [
      'a flipped bit',
      () => flip('heads/chat.safetensors', 5000),
      'DIGEST_MISMATCH',
      'heads/chat.safetensors',
    ],
    [
      'a truncated file',
      () => truncateSync(join(folder, 'router/router.onnx'), 100),
      'DIGEST_MISMATCH',
      'router/router.onnx',
    ],
    [
      'a missing file',
      () => rmSync(join(folder, 'aggregators/chat.onnx')),
      'MISSING_FILE',
      'aggregators/chat.onnx',
    ],
    [
      'a file beside those of the manifest',
      () => writeFileSync(join(folder, 'heads/more'), ''),
      'UNDECLARED_FILE',
      'heads/more',
    ],
    ['a link', () => symlinkSync('/etc/hostname', join(folder, 'heads/link')), 'NOT_A_FILE', 'heads/link'],
    [
      'a path out of the folder',
      () =>
        edit((m) => Object.assign(m['files'] as object, { '../x': { sha256: '0'.repeat(64), bytes: 1 } })),
      'BAD_PATH',
      '../x',
    ],
    [
      'an absolute path',
      () => edit((m) => Object.assign(m['files'] as object, { '/x': { sha256: '0'.repeat(64), bytes: 1 } })),
      'BAD_PATH',
      '/x',
    ],
    [
      'a field that nobody knows',
      () => edit((m) => Object.assign(m, { surprise: 1 })),
      'BAD_MANIFEST',
      'dmoerm.json: ',
    ],
    [
      'another schema version',
      () => edit((m) => Object.assign(m, { schema_version: 2 })),
      'BAD_MANIFEST',
      'dmoerm.json: schema_version',
    ],
    ['no manifest that is JSON', () => writeFileSync(manifestFile(), '{'), 'BAD_MANIFEST', 'dmoerm.json'],
  ];
  it.each(cases)('%s', async (_, damage, reason, field) => {
    damage();
    await expect(openBundle(folder, { cacheDir })).rejects.toMatchObject({
      code: 'DATA_LOSS',
      reason,
      field,
    });
  });

  it('an unknown reference says where it looked', async () => {
    await expect(openBundle('nothing', { cacheDir })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'UNKNOWN_BUNDLE',
    });
  });

  it('an unknown base is refused with the known names', async () => {
    await expect(pullBase('nothing', { cacheDir, hubEndpoint: '' })).rejects.toMatchObject({
      reason: 'UNKNOWN_BASE',
    });
  });
});

it('the revision does not depend on the order of keys or on white space', () => {
  expect(canonicalJson({ b: [1, { d: null, c: 'x' }], a: true })).toBe(
    '{"a":true,"b":[1,{"c":"x","d":null}]}',
  );
  expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

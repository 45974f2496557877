import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '@dmoerm/bundle';
import { exitStatus, run } from './serve';

jest.setTimeout(300_000);

const ROOT = join(__dirname, '..', '..');
/** The data is not part of the repository; docs/evaluation.md says what it is. */
const DATA = process.env['DMOERM_DATA'] ?? join(ROOT, '..', 'shared', 'data');
const MOST_BYTES = 12e6;

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-bundles-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Committed {
  readonly provenance: { readonly limit: number };
  readonly arms: readonly {
    readonly engines: readonly { readonly isa: string; readonly weights: string }[];
  }[];
}

it('the default bundle carries its base, needs no download, and is small', async () => {
  const bundle = await openBundle('default', { cacheDir: join(folder, 'empty') });
  expect(bundle.manifest.base.embedded).toBe(true);
  const bytes = Object.keys(bundle.manifest.files).reduce(
    (sum, path) => sum + statSync(join(bundle.directory, path)).size,
    0,
  );
  expect(bytes).toBeLessThan(MOST_BYTES);
});

it('an evaluation of the default bundle gives the committed figures again, to the digit', async () => {
  if (!existsSync(join(DATA, 'preferences.jsonl.gz')))
    return void process.stderr.write(
      `skipped: the committed figures (${DATA} holds no preferences.jsonl.gz; DMOERM_DATA names another folder)\n`,
    );
  const text = readFileSync(join(ROOT, 'docs', 'bundles', 'default.json'), 'utf8');
  const committed = JSON.parse(text) as Committed;
  const json = join(folder, 'report.json');
  const { child, log } = run([
    ...['eval', 'default', '--data', DATA, '--limit', `${committed.provenance.limit}`],
    ...['--cache', join(folder, 'scores'), '--json', json],
  ]);
  expect([await exitStatus(child), log()]).toEqual([0, expect.anything()]);
  const again = JSON.parse(readFileSync(json, 'utf8')) as Committed;
  // The type of weights is chosen by what the processor multiplies faster: units of one name choose differently.
  const engine = ({ arms }: Committed): string =>
    (arms[0]?.engines ?? []).map(({ isa, weights }) => `${isa} with ${weights} weights`).join();
  if (engine(again) !== engine(committed))
    return void process.stderr.write(
      `skipped: the committed figures (they are of ${engine(committed)}, this machine has ${engine(again)})\n`,
    );
  expect(again).toEqual(committed);
});

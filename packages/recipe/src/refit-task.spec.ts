import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle, type Bundle } from '@dmoerm/bundle';
import { createSpecBundle } from '@dmoerm/testing';
import { readSafetensors, readTensorF32, type TensorRef } from '@dmoerm/weights';
import { readPairsFile, type PairRow } from './pairs-file';
import { createRandom } from '@dmoerm/core';
import { refitTask } from './refit-task';

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-refit-'));
const options = { cacheDir: folder, seed: 1, threads: 1 };
let start: Bundle;
let count = 0;
const fresh = () => join(folder, `made-${count++}`);

beforeAll(async () => {
  start = await createSpecBundle(join(folder, 'start'), folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const random = createRandom(3);
const WORDS = ['river', 'stone', 'why', 'water', 'bends', 'slowly', 'north', 'because', 'it', 'answers'];
const words = (length: number) =>
  Array.from({ length }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' ');
/** The answer that says yes is better. */
const ROWS: readonly PairRow[] = Array.from({ length: 80 }, (_, i) => ({
  messages: [{ role: 'user', content: words(4) }],
  chosen: `${words(2)} yes yes yes`,
  rejected: `${words(2)} no no no`,
  tie: false,
  split: i % 5 === 0 ? 'valid' : 'train',
}));

describe('refitTask', () => {
  it('learns what decides the pairs; experts, heads and other tasks stay', async () => {
    const { bundle, train, valid, skipped, validAccuracy } = await refitTask(
      start,
      'poem',
      ROWS,
      fresh(),
      options,
    );
    expect([train, valid, skipped]).toEqual([64, 16, 0]);
    expect(validAccuracy).toBeGreaterThan(0.9);
    const opened = await openBundle(bundle.directory, options);
    expect(opened.task('poem').aggregator).toBe('aggregators/poem.onnx');
    expect(opened.task('poem').calibration).not.toEqual(start.task('poem').calibration);
    for (const name of ['chat', 'qa']) expect(opened.task(name)).toEqual(start.task(name));
    const tensor = async (of: Bundle, name: string) => {
      const { tensors } = await readSafetensors(of.file(of.task('poem').heads));
      return readTensorF32(tensors.get(name) as TensorRef);
    };
    for (const name of ['weight', 'bias'])
      expect(await tensor(opened, name)).toEqual(await tensor(start, name));
    expect(await tensor(opened, 'embedding_mean')).not.toEqual(await tensor(start, 'embedding_mean'));
  });

  it('gives equal pairs equal bundles, and does not look at test pairs', async () => {
    const revision = async (rows: readonly PairRow[]) =>
      (await refitTask(start, 'poem', rows, fresh(), options)).bundle.revision;
    const test = { ...(ROWS[0] as PairRow), split: 'test' as const };
    expect(await revision([...ROWS, test])).toBe(await revision(ROWS));
    expect(await revision([...ROWS, { ...test, split: 'train' }])).not.toBe(await revision(ROWS));
  });

  it('leaves out what is too long, and refuses too few pairs', async () => {
    const long: PairRow = { ...(ROWS[1] as PairRow), chosen: words(400) };
    expect((await refitTask(start, 'poem', [...ROWS, long], fresh(), options)).skipped).toBe(1);
    const into = fresh();
    await expect(refitTask(start, 'poem', ROWS.slice(0, 30), into, options)).rejects.toMatchObject({
      reason: 'TOO_FEW_PAIRS',
      message: expect.stringContaining('24 pairs of task poem to train on and 6 to validate'),
    });
    expect(existsSync(into)).toBe(false);
  });
});

describe('readPairsFile', () => {
  const write = (...lines: readonly (object | string)[]) => {
    const file = join(folder, 'pairs.jsonl');
    writeFileSync(
      file,
      lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
    );
    return file;
  };
  const row = { messages: [{ role: 'user', content: 'a' }], chosen: 'b', rejected: 'c' };

  it('takes rows of the task or of none, without ties', async () => {
    const rows = await readPairsFile(
      write(row, { ...row, task: 'poem' }, { ...row, task: 'chat' }, { ...row, tie: true }, ''),
      'poem',
    );
    expect(rows).toEqual([
      { ...row, tie: false },
      { ...row, task: 'poem', tie: false },
    ]);
  });

  it.each([
    ['{', /line 2: the row: /],
    [{ ...row, chosen: '' }, /line 2: chosen: is empty/],
    [{ ...row, messages: [] }, /line 2: messages: /],
  ])('names the line of %j', async (line, message) => {
    const file = write(row, line);
    expect(readFileSync(file, 'utf8')).not.toBe('');
    await expect(readPairsFile(file, 'poem')).rejects.toMatchObject({
      reason: 'BAD_ROW',
      message: expect.stringMatching(message),
    });
  });
});

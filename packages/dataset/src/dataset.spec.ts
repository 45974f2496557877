import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { createDataReader } from './dataset';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'dmoerm-dataset-'))));
afterAll(() => rm(folder, { recursive: true }));

const row = {
  ...{ source: 's', licence: 'MIT', task: 'chat', prompt_id: '1', split: 'test' },
  messages: [{ role: 'user', content: 'why?' }],
  ...{ chosen: 'because', rejected: 'no' },
};
const write = async (name: string, ...rows: object[]): Promise<string> => {
  const text = rows.map((one) => `${JSON.stringify(one)}\n`).join('');
  await writeFile(join(folder, name), name.endsWith('.gz') ? gzipSync(text) : text);
  return join(folder, name);
};

it('reads JSON lines, gzipped or not, with the defaults of the record', async () => {
  for (const name of ['a.jsonl', 'a.jsonl.gz']) {
    const { rows, sha256 } = await createDataReader().pairs(await write(name, row));
    expect(rows).toEqual([{ ...row, tie: false, first_turn_in_train: false }]);
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  }
});

it.each([
  ['an empty response', { ...row, chosen: '' }, 'chosen'],
  ['two equal responses', { ...row, chosen: 'no' }, 'the same'],
  [
    'a prompt that ends with the assistant',
    { ...row, messages: [{ role: 'assistant', content: 'a' }] },
    'last',
  ],
  ['a split that is none', { ...row, split: 'dev' }, 'split'],
])('refuses %s, naming file and line', async (_, bad, says) => {
  const reading = createDataReader().pairs(await write('bad.jsonl', row, bad));
  await expect(reading).rejects.toMatchObject({
    code: 'DATA_LOSS',
    reason: 'BAD_ROW',
    field: expect.stringContaining('bad.jsonl:2'),
    message: expect.stringContaining(says),
  });
});

it('refuses a prompt that is in two splits, also across files', async () => {
  const reader = createDataReader();
  await reader.pairs(await write('test.jsonl', row));
  const reading = reader.pairs(await write('train.jsonl', { ...row, split: 'train' }));
  await expect(reading).rejects.toMatchObject({ message: expect.stringContaining('splits test and train') });
});

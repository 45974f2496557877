import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openJournal, type JournalReply } from './journal';
import { folder, readLines } from './spec-support/fixtures';

const reply = (key: string, content = 'x'): JournalReply => ({
  type: 'reply',
  key,
  step: 'first',
  time: '2026-01-01T00:00:00.000Z',
  model: 'm',
  system_fingerprint: null,
  content,
  refusal: null,
  finish_reason: 'stop',
  usage: null,
  latency_ms: 1,
  tries: 1,
  cost: null,
});
const fresh = (): string => join(folder(), 'journal.jsonl');

it('has an entry on the disk when append resolves, many at once in their order', async () => {
  const file = fresh();
  const journal = await openJournal(file);
  const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
  await Promise.all(keys.map((key) => journal.append(reply(key))));
  expect(readLines(file).map(({ key }) => key)).toEqual(keys);
  await journal.close();
  const again = await openJournal(file);
  expect(again.entries()).toHaveLength(200);
  expect(again.replies('k7')).toEqual([reply('k7')]);
  await again.close();
});

it('counts the first of two answers to the same step', async () => {
  const journal = await openJournal(fresh());
  await journal.append(reply('k', 'one'));
  await journal.append(reply('k', 'two'));
  expect(journal.replies('k').map(({ content }) => content)).toEqual(['one']);
  await journal.close();
});

describe('after a crash in the middle of a line', () => {
  const torn = `${JSON.stringify(reply('a'))}\n${JSON.stringify(reply('b')).slice(0, 40)}`;

  it('drops that line and goes on after the last whole one', async () => {
    const file = fresh();
    writeFileSync(file, torn);
    const journal = await openJournal(file);
    await journal.append(reply('c'));
    await journal.close();
    expect(readLines(file).map(({ key }) => key)).toEqual(['a', 'c']);
  });

  it('would else have lost the next entry too', () => {
    const file = fresh();
    writeFileSync(file, torn);
    appendFileSync(file, `${JSON.stringify(reply('c'))}\n`);
    expect(() => readLines(file)).toThrow();
  });

  it('is left alone by a reader', async () => {
    const file = fresh();
    writeFileSync(file, torn);
    const journal = await openJournal(file, { readOnly: true });
    expect(journal.entries()).toHaveLength(1);
    await expect(journal.append(reply('c'))).rejects.toThrow(/reading only/);
    expect(readFileSync(file, 'utf8')).toBe(torn);
  });
});

it('refuses a damaged line that no crash explains, by number', async () => {
  const file = fresh();
  writeFileSync(file, `${JSON.stringify(reply('a'))}\n{"type":"reply"}\n${JSON.stringify(reply('b'))}\n`);
  await expect(openJournal(file)).rejects.toMatchObject({ code: 'DATA_LOSS', field: `${file}:2` });
});

it('makes no file for a reader', async () => {
  const file = fresh();
  expect((await openJournal(file, { readOnly: true })).entries()).toEqual([]);
  expect(existsSync(file)).toBe(false);
});

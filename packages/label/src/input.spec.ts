import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { parseLine, splitOf } from './input';
import { readInput } from './read-input';
import { readPrice, readTaxonomy } from './read-settings-file';
import { folder } from './spec-support/fixtures';
import { DEFAULT_TAXONOMY } from './taxonomy';

const messages = [{ role: 'user', content: 'Hello' }];
const row = { messages, responses: ['a', 'b', 'c'], task: 'chat' };
const pair = { messages, chosen: 'a', rejected: 'b', task: 'chat', capability: 'proactivity' };
const parse = (value: unknown) => parseLine(JSON.stringify(value), 7, DEFAULT_TAXONOMY);
const read = (text: string) => readInput('-', DEFAULT_TAXONOMY, Readable.from([text]));

describe('a line', () => {
  it('of responses stands for every pair and every capability of its task', () => {
    const { comparisons } = parse(row);
    expect(comparisons).toHaveLength(3 * 5);
    expect(comparisons.every(({ humans }) => humans.length === 0)).toBe(true);
  });

  it('of chosen and rejected with a capability is a human label', () => {
    const [comparison, ...more] = parse(pair).comparisons;
    expect(more).toEqual([]);
    const chosen = comparison?.responses[comparison.humans[0] === 'first' ? 0 : 1];
    expect(chosen).toBe('a');
    expect(parse({ ...pair, tie: true }).comparisons[0]?.humans).toEqual(['tie']);
  });

  it('of chosen and rejected without a capability says nothing about capabilities', () => {
    const { comparisons } = parse({ ...pair, capability: undefined });
    expect(comparisons).toHaveLength(5);
    expect(comparisons.flatMap(({ humans }) => humans)).toEqual([]);
  });

  it('hands on where it comes from, and takes a missing licence for none', () => {
    const given = { prompt_id: 'p', split: 'test', source: 's', licence: 'MIT' };
    expect(parse({ ...pair, ...given }).comparisons[0]).toMatchObject({
      promptId: 'p',
      split: 'test',
      source: 's',
      licence: 'MIT',
    });
    const [bare] = parse(pair).comparisons;
    expect(bare).toMatchObject({ licence: 'none-stated', split: splitOf(bare?.promptId ?? '') });
  });

  it('leaves out pairs of equal responses', () => {
    expect(parse({ ...row, responses: ['a', 'a', 'b'] })).toMatchObject({ identical: 5 });
  });

  it.each([
    ['no JSON', 'nonsense', 'line 7', /is no JSON/],
    ['no responses', { messages, task: 'chat' }, 'line 7: responses', /a line is/],
    ['one response', { ...row, responses: ['a'] }, 'line 7: responses', /a line is/],
    ['an empty response', { ...row, responses: ['a', ''] }, 'line 7: responses.1', /a line is/],
    [
      'a bad role',
      { ...row, messages: [{ role: 'bot', content: 'x' }] },
      'line 7: messages.0.role',
      /line 7/,
    ],
    [
      'a last turn of the assistant',
      { ...row, messages: [...messages, { role: 'assistant', content: 'x' }] },
      'line 7: messages[1].role',
      /must be from the user/,
    ],
    ['an unknown task', { ...row, task: 'code' }, 'line 7: task', /only roleplay, chat.*--taxonomy/],
    ['no own task', { ...row, task: 'constructor' }, 'line 7: task', /--taxonomy/],
    [
      'an unknown capability',
      { ...pair, capability: 'wit' },
      'line 7: capability',
      /proactivity.*--taxonomy/,
    ],
  ])('with %s is refused by name', (_, value, field, message) => {
    const line = typeof value === 'string' ? value : JSON.stringify(value);
    const attempt = (): unknown => parseLine(line, 7, DEFAULT_TAXONOMY);
    expect(attempt).toThrow(message);
    expect(attempt).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', field }));
  });
});

describe('a file', () => {
  it('may be compressed, and has blank lines', async () => {
    const file = join(folder(), 'in.jsonl.gz');
    writeFileSync(file, gzipSync(`${JSON.stringify(pair)}\n\n${JSON.stringify(pair)}\n`));
    const input = await readInput(file, DEFAULT_TAXONOMY, process.stdin);
    expect(input).toMatchObject({ rows: 2, comparisons: [{ humans: { length: 2 } }] });
  });

  it('may come in pieces that cut a letter', async () => {
    const bytes = Buffer.from(JSON.stringify({ ...pair, chosen: 'naïve' }));
    const cut = bytes.indexOf('ï') + 1;
    const pieces = Readable.from([bytes.subarray(0, cut), bytes.subarray(cut)]);
    const { comparisons } = await readInput('-', DEFAULT_TAXONOMY, pieces);
    expect(comparisons[0]?.responses).toContain('naïve');
  });

  it.each([
    ['is not there', () => readInput('nowhere.jsonl', DEFAULT_TAXONOMY, process.stdin), 'FILE_NOT_FOUND'],
    ['is a folder', () => readInput(folder(), DEFAULT_TAXONOMY, process.stdin), 'FILE_NOT_FOUND'],
    [
      'is compressed by its name only',
      () => {
        const file = join(folder(), 'in.jsonl.gz');
        writeFileSync(file, JSON.stringify(pair));
        return readInput(file, DEFAULT_TAXONOMY, process.stdin);
      },
      'BAD_FILE',
    ],
    ['has nothing to compare', () => read(JSON.stringify({ ...pair, rejected: 'a' })), 'NOTHING_TO_LABEL'],
    [
      'has a prompt in two splits',
      () =>
        read(['train', 'test'].map((split) => JSON.stringify({ ...pair, prompt_id: 'p', split })).join('\n')),
      'TWO_SPLITS',
    ],
  ])('that %s is refused', async (_, reading, reason) => {
    await expect(reading()).rejects.toMatchObject({ reason });
  });
});

describe('settings files', () => {
  const write = (text: string): string => {
    const file = join(folder(), 'settings.yaml');
    writeFileSync(file, text);
    return file;
  };

  it('are YAML or JSON', () => {
    const taxonomy = { chat: [{ name: 'logic', definition: 'Follows.' }] };
    expect(readTaxonomy(write('chat:\n  - {name: logic, definition: Follows.}'))).toEqual(taxonomy);
    expect(readTaxonomy(write(JSON.stringify(taxonomy)))).toEqual(taxonomy);
    const prices = write('currency: USD\nmodels: {m: {input_per_million: 1, output_per_million: 2}}');
    expect(readPrice(prices, 'm')).toEqual({ currency: 'USD', inputPerMillion: 1, outputPerMillion: 2 });
    expect(() => readPrice(prices, 'toString')).toThrow(/no price of toString, only of m/);
  });

  it.each([
    ['chat: [{name: logic}]', /chat\.0\.definition/],
    ['chat: [{name: a, definition: x}, {name: a, definition: y}]', /twice/],
    ['chat: [', /neither YAML nor JSON/],
    ['chat: []', /chat/],
  ])('%j is refused, naming the place', (text, message) => {
    expect(() => readTaxonomy(write(text))).toThrow(message);
  });
});

it('has a definition of every capability of the paper', () => {
  const all = Object.values(DEFAULT_TAXONOMY).flat();
  expect(all).toHaveLength(27);
  expect(all.every(({ definition }) => definition.endsWith('.'))).toBe(true);
});

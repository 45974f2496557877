import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { epochChunks, splitRows } from './chunks';
import type { EncodedGroup } from './encode';
import { readPairs, type PairRecord } from './pairs';
import { readRecipe } from './recipe';
import { selectPairs } from './select';
import { specPairs, writeSpecRecipe } from './spec-data';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmoerm-pairs-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const good: PairRecord = {
  messages: [{ role: 'user', content: 'Hello' }],
  chosen: 'Hi!',
  rejected: 'Go away',
  tie: false,
  task: 'chat',
  prompt_id: 'p',
  split: 'train',
  source: 's',
  licence: 'MIT',
  first_turn_in_train: false,
};

async function read(...lines: readonly unknown[]) {
  const file = join(folder, 'pairs.jsonl');
  await writeFile(
    file,
    lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
  );
  return readPairs([file]);
}

describe('rows that would spoil training are refused with their line', () => {
  it.each<[string, unknown, RegExp]>([
    ['no JSON', '{"messages":', /line 2: the row/],
    ['an empty response', { ...good, chosen: '' }, /line 2: chosen: is empty/],
    ['a missing side', { ...good, rejected: undefined }, /line 2: rejected/],
    ['two equal responses', { ...good, rejected: 'Hi!' }, /line 2: chosen and rejected are the same/],
    [
      'a prompt in two splits',
      { ...good, split: 'test', chosen: 'x' },
      /split test here and in train at .*:1/,
    ],
    [
      'the same pair the other way',
      { ...good, chosen: 'Go away', rejected: 'Hi!' },
      /:1 prefers the other response/,
    ],
    ['an unknown split', { ...good, split: 'dev' }, /line 2: split/],
    ['no task', { ...good, task: '' }, /line 2: task/],
    [
      'a prompt that ends with the assistant',
      { ...good, messages: [{ role: 'assistant', content: 'x' }] },
      /line 2/,
    ],
  ])('%s', async (_, bad, message) => {
    await expect(read(good, bad)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      message: expect.stringMatching(message),
    });
  });

  it('but not: other labels of other capabilities, ties, blank lines', async () => {
    const other = { ...good, capability: 'short', chosen: 'Go away', rejected: 'Hi!' };
    const tie = { ...good, tie: true, chosen: 'Go away', rejected: 'Hi!' };
    expect((await read(good, '', other, tie, good)).pairs).toHaveLength(4);
  });

  it('a file that is missing, and a gzip file that breaks off', async () => {
    await expect(readPairs([join(folder, 'none.jsonl')])).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const packed = gzipSync(
      Array.from({ length: 2000 }, (_, i) =>
        JSON.stringify({ ...good, prompt_id: `${i}`, messages: [{ role: 'user', content: `${i * i}` }] }),
      ).join('\n'),
    );
    const file = join(folder, 'broken.jsonl.gz');
    await writeFile(file, packed.subarray(0, packed.length / 2));
    await expect(readPairs([file])).rejects.toMatchObject({ code: 'DATA_LOSS', reason: 'BROKEN_FILE' });
    await writeFile(file, packed);
    expect((await readPairs([file])).pairs).toHaveLength(2000);
  });
});

describe('a recipe', () => {
  it.each<[Record<string, unknown>, RegExp]>([
    [{ plan: { type: 'half' } }, /plan/],
    [{ tasks: [] }, /tasks/],
    [{ tasks: [{ name: 'chat', capabilities: [{ name: 'a' }, { name: 'a' }] }] }, /a is there twice/],
    [{ phase2: { learning_rate: -1 } }, /phase2.learning_rate/],
    [{ epochs: 3 }, /epochs/],
    [{ router: { fallback: 'nowhere' } }, /router.fallback/],
  ])('%j is refused by name', async (changes, message) => {
    const file = await writeSpecRecipe(folder, [], changes);
    expect(() => readRecipe(file)).toThrow(message);
  });

  it('asks for pairs of every capability, in both splits', async () => {
    const recipe = readRecipe(await writeSpecRecipe(folder, []));
    const pairs = specPairs(40);
    expect(selectPairs(pairs, recipe).tasks[0]?.experts.size).toBe(2);
    expect(() =>
      selectPairs(
        pairs.filter(({ capability }) => capability !== 'short'),
        recipe,
      ),
    ).toThrow(/capability short/);
    expect(() =>
      selectPairs(
        pairs.filter(({ split }) => split !== 'valid'),
        recipe,
      ),
    ).toThrow(/no valid pairs/);
    expect(() =>
      selectPairs(
        pairs.filter(({ capability }) => capability !== undefined),
        recipe,
      ),
    ).toThrow(/overall/);
  });

  it('keeps experts from the prompts of the aggregator, and unlicensed rows from both', async () => {
    const recipe = readRecipe(await writeSpecRecipe(folder, []));
    const pairs = specPairs(200).map((row, i) => (i % 3 === 0 ? { ...row, licence: 'none-stated' } : row));
    const { tasks, unlicensed } = selectPairs(pairs, recipe);
    expect(unlicensed).toBe(pairs.filter(({ licence }) => licence === 'none-stated').length);
    const train = (rows: readonly PairRecord[]) =>
      new Set(rows.filter(({ split }) => split === 'train').map(({ prompt_id: id }) => id));
    const [task] = tasks;
    const experts = train([...(task?.experts.values() ?? [])].flat());
    const aggregator = train(task?.overall ?? []);
    expect(experts.size).toBeGreaterThan(0);
    expect(aggregator.size).toBeGreaterThan(0);
    expect([...aggregator].filter((id) => experts.has(id))).toEqual([]);
  });
});

describe('baselines and controls', () => {
  const select = async (data: Record<string, unknown>, pairs = specPairs(100)) => {
    const file = await writeSpecRecipe(folder, [], { data: { pairs: ['pairs.jsonl'], ...data } });
    return selectPairs(pairs, readRecipe(file)).tasks[0];
  };

  it('a single task takes the pairs of all', async () => {
    const pairs = [
      ...specPairs(100),
      ...specPairs(100, 'other').map((row) => ({ ...row, prompt_id: `o${row.prompt_id}` })),
    ];
    const one = await select({}, pairs);
    const all = await select({ single_task: 'chat' }, pairs);
    expect(all?.overall.length).toBeGreaterThan(1.5 * (one?.overall.length ?? 0));
  });

  it('shuffled capabilities keep every count but not who learns from what; test pairs stay', async () => {
    const real = await select({});
    const shuffled = await select({ placebo: 'shuffled_capabilities' });
    const part = (task: typeof real, capability: string, split: string) =>
      (task?.experts.get(capability) ?? []).filter((row) => row.split === split);
    const texts = (rows: readonly PairRecord[]) => rows.map(({ chosen }) => chosen);
    expect(texts(part(shuffled, 'short', 'test'))).toEqual(texts(part(real, 'short', 'test')));
    expect(part(shuffled, 'short', 'valid')).toHaveLength(part(real, 'short', 'valid').length);
    // `short` prefers what ends with "now", `polite` never does.
    expect(part(real, 'short', 'train').every(({ chosen }) => chosen.endsWith('now'))).toBe(true);
    expect(part(shuffled, 'short', 'train').every(({ chosen }) => chosen.endsWith('now'))).toBe(false);
    expect(await select({ placebo: 'shuffled_capabilities' })).toEqual(shuffled);
  });
});

const groups = fc
  .array(
    fc.record({
      learners: fc.uniqueArray(fc.nat(3), { minLength: 1 }),
      rows: fc.integer({ min: 1, max: 50 }),
    }),
    { minLength: 1, maxLength: 60 },
  )
  .map((all) =>
    all.map(({ learners, rows }, i): EncodedGroup => ({
      key: `${i}`,
      prompts: [],
      candidates: [],
      pairs: new Map(learners.map((learner) => [learner, [{ first: 0, second: 1, record: good }]])),
      rows,
    })),
  );

describe('the steps of an epoch', () => {
  it('hold every prompt once, with prompts of the same learners, at most so many; seeds order them', () => {
    fc.assert(
      fc.property(groups, fc.integer({ min: 1, max: 8 }), fc.nat(99), (all, size, seed) => {
        const chunks = epochChunks(all, size, seed);
        expect(
          chunks
            .flat()
            .map(({ key }) => key)
            .sort(),
        ).toEqual(all.map(({ key }) => key).sort());
        for (const chunk of chunks) {
          expect(chunk.length).toBeLessThanOrEqual(size);
          expect(new Set(chunk.map(({ pairs }) => [...pairs.keys()].sort().join())).size).toBe(1);
        }
        expect(epochChunks(all, size, seed)).toEqual(chunks);
      }),
    );
    const many = Array.from({ length: 50 }, (_, i) => ({
      key: `${i}`,
      prompts: [],
      candidates: [],
      pairs: new Map([[0, []]]),
      rows: 1,
    }));
    expect(epochChunks(many, 4, 1)).not.toEqual(epochChunks(many, 4, 2));
  });

  it('are split by rows without losing a prompt', () => {
    fc.assert(
      fc.property(groups, fc.integer({ min: 1, max: 120 }), (all, maxRows) => {
        const parts = splitRows(all, maxRows);
        expect(parts.flat()).toEqual(all);
        for (const part of parts)
          if (part.length > 1)
            expect(part.reduce((sum, { rows }) => sum + rows, 0)).toBeLessThanOrEqual(maxRows);
      }),
    );
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bundle } from '@dmoerm/bundle';
import { createEngine, type Engine, type Outputs } from '@dmoerm/engine';
import { createSpecBundle, SPEC_TASKS } from '@dmoerm/testing';
import { openBase } from '@dmoerm/weights';
import { loadModel, type CandidateOutput, type Model } from './model';
import type { EvaluateItem } from './prepare';

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-model-'));
let bundle: Bundle;
let model: Model;

beforeAll(async () => {
  bundle = await createSpecBundle(join(folder, 'bundle'), folder);
  model = await loadModel(bundle, { threads: 1 });
});
afterAll(async () => {
  await model[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function item(candidates: readonly string[], over: Partial<EvaluateItem> = {}): EvaluateItem {
  const prompt = {
    type: 'conversation',
    messages: [
      { role: 'user', content: 'why do rivers bend?' },
      { role: 'assistant', content: 'because water is quicker outside' },
      { role: 'user', content: 'and then?' },
    ],
  } as const;
  return { prompt, candidates, truncation: 'reject', ...over };
}

async function outputs(task: string, one: EvaluateItem, by = model): Promise<readonly CandidateOutput[]> {
  const { items } = await by.evaluate([by.prepare(task, one)]);
  return items[0] ?? [];
}

/** More tokens than the bundle takes, with or without a prompt. */
const ENDLESS = 'endless '.repeat(600);

describe.each(SPEC_TASKS.map(({ name }) => name))('%s', (task) => {
  it('scores a candidate beside bad ones to the same bits as alone', async () => {
    const together = await outputs(task, item(['a bend grows', '', ENDLESS, 'nothing']));
    const alone = await Promise.all(['a bend grows', 'nothing'].map((text) => outputs(task, item([text]))));
    expect([together[0], together[3]]).toEqual(alone.flat());
    expect(together[0]).toMatchObject({ type: 'outputs', truncated: false });
    expect(together[1]).toMatchObject({ error: { reason: 'EMPTY_CANDIDATE', field: 'candidates[1]' } });
    expect(together[2]).toMatchObject({ error: { reason: 'TOO_LONG', field: 'candidates[2]' } });
  });

  it('scores a candidate of a prompt that the caller has rendered', async () => {
    const prompt = { type: 'text', text: 'why do rivers bend?' } as const;
    expect(await outputs(task, item(['they do'], { prompt }))).toMatchObject([{ type: 'outputs' }]);
  });
});

describe('truncation', () => {
  // Fits with the last turn, not with the whole conversation.
  let long = '';
  beforeAll(() => {
    const tokens = (truncation: 'reject' | 'keep_end', text: string) =>
      model.prepare('chat', item([text], { truncation })).candidates[0];
    do long += 'river ';
    while (tokens('reject', long)?.type === 'tokens');
    expect(tokens('keep_end', long)?.type).toBe('tokens');
  });

  it('is refused unless asked for, with the fix', async () => {
    const [refused] = await outputs('chat', item([long]));
    expect(refused).toMatchObject({
      error: { reason: 'TOO_LONG', field: 'candidates[0]', message: expect.stringMatching(/KEEP_END/i) },
    });
  });

  it('is refused alone where the prompt is beyond what the base takes: the other items keep their scores', async () => {
    const messages = [{ role: 'user' as const, content: ENDLESS }];
    const items = [
      { ...item(['a']), prompt: { type: 'conversation' as const, messages } },
      item(['it moves']),
    ].map((one) => model.prepare('chat', one));
    const { items: got } = await model.evaluate(items);
    expect(got[0]).toMatchObject([{ error: { reason: 'TOO_LONG' } }]);
    expect(got[1]).toEqual(await outputs('chat', item(['it moves'])));
    expect((await model.evaluate(items.slice(0, 1))).items).toHaveLength(1);
  });

  it('leaves a readout the positions of what it appends: the longest candidate that is not refused is scored', async () => {
    const positions = (await openBase(bundle.basePath)).config.maxPositions;
    const manifest = { ...bundle.manifest, max_tokens: positions };
    await using whole = await loadModel({ ...bundle, manifest }, { threads: 1 });
    for (const task of ['qa', 'chat']) {
      const prepare = (length: number) => whole.prepare(task, item(['a'.repeat(length)]));
      let length = 1;
      while (prepare(length + 1).candidates[0]?.type === 'tokens') length++;
      const { items: got } = await whole.evaluate([prepare(length)]);
      expect(got[0]).toMatchObject([{ type: 'outputs' }]);
    }
  });

  it('drops the oldest turns for the candidate that needs it, not for the others', async () => {
    const kept = { truncation: 'keep_end' } as const;
    const [short, cut] = await outputs('chat', item(['it moves', long], kept));
    expect(short).toEqual((await outputs('chat', item(['it moves'])))[0]);
    expect(cut).toMatchObject({ type: 'outputs', truncated: true });
    expect(cut).toEqual((await outputs('chat', item([long], kept)))[0]);
    expect(await outputs('chat', item([ENDLESS], kept))).toMatchObject([{ error: { reason: 'TOO_LONG' } }]);
  });
});

it('names the revision, the digests and the capabilities of what it scored with', () => {
  expect(model.revision).toBe(bundle.revision);
  expect(model.capabilities('chat')).toEqual(['logic', 'tone']);
  const { adapters, heads, base } = model.digests('chat');
  expect([...adapters, heads, base].every((digest) => /^[0-9a-f]{64}$/.test(digest))).toBe(true);
  expect(model.digests('qa').adapters).toEqual(['', '', '']);
});

it('refuses a task that it has not', () => {
  for (const ask of [() => model.capabilities('nonsense'), () => model.prepare('nonsense', item(['a']))])
    expect(ask).toThrow(expect.objectContaining({ code: 'NOT_FOUND', reason: 'UNKNOWN_TASK' }));
});

it('refuses a base whose chat template is another one than the bundle was trained with', async () => {
  const manifest = { ...bundle.manifest, template: { digest: '0'.repeat(64) } };
  await expect(loadModel({ ...bundle, manifest })).rejects.toMatchObject({
    reason: 'TEMPLATE_MISMATCH',
    field: 'template.digest',
  });
});

it.each([NaN, Infinity])(
  'a candidate for which the engine gives %p gets an error, the others their scores',
  async (poison) => {
    const real = await createEngine(await openBase(bundle.basePath), { threads: 1 });
    const faulty: Engine = {
      info: real.info,
      addTask: (spec) => real.addTask(spec),
      removeTask: (handle) => real.removeTask(handle),
      evaluate: async (batches, signal) => {
        const evaluation = await real.evaluate(batches, signal);
        const [batch] = batches;
        const [outputs] = evaluation.outputs as readonly Outputs[];
        if (outputs !== undefined && batch !== undefined)
          outputs.embeddings[batch.task.expertCount * real.info.hiddenSize + 3] = poison;
        return evaluation;
      },
      memory: () => real.memory(),
      [Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
    };
    const poisoned = await loadModel(bundle, { engine: faulty });
    const texts = ['one', 'two', 'three'];
    const got = await outputs('chat', item(texts), poisoned);
    const want = await outputs('chat', item(texts));
    expect(got[1]).toMatchObject({
      error: { code: 'INTERNAL', reason: 'NON_FINITE', field: 'candidates[1]' },
    });
    expect([got[0], got[2]]).toEqual([want[0], want[2]]);
    await poisoned[Symbol.asyncDispose]();
  },
);

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addExpert, exportExpert, openBundle, openExpertSource, type Bundle } from '@dmoerm/bundle';
import {
  createSpecBundle,
  goldenAdapter,
  goldenBase,
  goldenExpert,
  readGoldenScores,
  relativeError,
  TOLERANCES,
} from '@dmoerm/testing';
import { openAdapter, openBase, readSafetensors, readTensorF32, writeSafetensors } from '@dmoerm/weights';
import { checkExpert, readCheckRecords } from './check-expert';
import { loadModel } from './model';

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-import-'));
const options = { cacheDir: folder };
let start: Bundle;
let count = 0;
const fresh = () => join(folder, `made-${count++}`);

beforeAll(async () => {
  start = await createSpecBundle(join(folder, 'start'), folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const EXPERTS = [
  { expert: 'trl-lora', task: 'chat' },
  { expert: 'trl-top2', task: 'poem' },
  { expert: 'trl-alora', task: 'qa' },
] as const;

async function importInto(task: string, source: string, head: string | null = null, into = fresh()) {
  const opened = await openExpertSource(source, head, start.basePath);
  return (await addExpert(start, opened, { task, capability: 'imported' }, into, options)).bundle;
}

/** Scores of the golden conversations by capability of a task, [N][K]. */
async function scores(bundle: Bundle, task: string, expert: string): Promise<number[][]> {
  await using model = await loadModel(bundle, { tasks: [task], weightType: 'f32', threads: 1 });
  const items = readGoldenScores(expert).map(({ messages, candidate }) =>
    model.prepare(task, {
      prompt: { type: 'conversation', messages },
      candidates: [candidate],
      truncation: 'reject',
    }),
  );
  const { items: outputs } = await model.evaluate(items);
  return outputs.map(([output]) => (output?.type === 'outputs' ? [...output.scores] : []));
}

/** All tensors of a file after a change; undefined drops one. */
async function rewrite(
  source: string,
  target: string,
  change: (
    name: string,
    data: Float32Array,
    shape: number[],
  ) => { data: Float32Array; shape: number[] } | null,
): Promise<void> {
  const { tensors } = await readSafetensors(source);
  const written = await Promise.all(
    [...tensors.values()].map(async (ref) => {
      const changed = change(ref.name, Float32Array.from(await readTensorF32(ref)), [...ref.shape]);
      return changed === null ? [] : [{ name: ref.name, ...changed }];
    }),
  );
  await writeSafetensors(target, written.flat());
}

/** A copy of `trl-lora` with changed tensors and config. */
async function damaged(
  change: Parameters<typeof rewrite>[2],
  config: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const copy = fresh();
  cpSync(goldenExpert('trl-lora'), copy, { recursive: true });
  const weights = join(copy, 'adapter_model.safetensors');
  await rewrite(join(goldenExpert('trl-lora'), 'adapter_model.safetensors'), weights, change);
  const file = join(copy, 'adapter_config.json');
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...config }));
  return copy;
}
const same: Parameters<typeof rewrite>[2] = (_, data, shape) => ({ data, shape });
const headless: Parameters<typeof rewrite>[2] = (name, data, shape) =>
  name.includes('score') ? null : { data, shape };

describe.each(EXPERTS)('$expert, trained by TRL, in the task $task', ({ expert, task }) => {
  let bundle: Bundle;
  beforeAll(async () => {
    bundle = await importInto(task, goldenExpert(expert));
  });

  it('scores as transformers and PEFT do', async () => {
    const imported = (await scores(bundle, task, expert)).map((row) => row.at(-1) ?? NaN);
    const golden = readGoldenScores(expert).map(({ score }) => score);
    expect(relativeError(imported, golden)).toBeLessThan(TOLERANCES.float32Scores);
    expect(Math.max(...golden) - Math.min(...golden)).toBeGreaterThan(0.5);
  });

  it('leaves the bits of the experts that were there', async () => {
    const before = await scores(start, task, expert);
    expect((await scores(bundle, task, expert)).map((row) => row.slice(0, -1))).toEqual(before);
  });

  it('is a bundle that opens, keeps the adapter as it was, and tells where it came from', async () => {
    const opened = await openBundle(bundle.directory, options);
    const { adapter, invocation_tokens: tokens } = opened.task(task).capabilities.at(-1) ?? {};
    for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
      expect(
        readFileSync(opened.file(`${adapter}/${file}`)).equals(
          readFileSync(join(goldenExpert(expert), file)),
        ),
      ).toBe(true);
    expect(tokens?.length).toBe(expert === 'trl-alora' ? 3 : 0);
    expect(opened.task(task).aggregator).toBeNull();
    expect(opened.manifest.provenance).toMatchObject({
      created_by: 'tests',
      imported: [{ task, capability: 'imported', into_revision: start.revision, head: 'adapter' }],
    });
  });

  it('leaves again as it came: modules and head to the bit', async () => {
    const out = fresh();
    expect(await exportExpert(bundle, task, 'imported', out)).toMatchObject({ bias: 0 });
    const { config } = await openBase(goldenBase('llama'));
    const values = async (path: string) => {
      const { modules, head, invocationTokens } = await openAdapter(path, config);
      const tensors = modules.map(async ({ a, b, ...rest }) => ({
        ...rest,
        a: await readTensorF32(a),
        b: await readTensorF32(b),
      }));
      return {
        modules: await Promise.all(tensors),
        invocationTokens,
        head: head && (await readTensorF32(head)),
      };
    };
    expect(await values(out)).toEqual(await values(goldenExpert(expert)));
  });
});

it('takes a head from a file of its own, with its bias', async () => {
  const source = await damaged(headless);
  const head = join(folder, 'head.safetensors');
  const { tensors } = await readSafetensors(join(goldenExpert('trl-lora'), 'adapter_model.safetensors'));
  const ref = [...tensors.values()].find(({ name }) => name.includes('score'));
  const weight = ref === undefined ? new Float32Array() : await readTensorF32(ref);
  await writeSafetensors(head, [
    { name: 'score.weight', shape: [1, 48], data: weight },
    { name: 'score.bias', shape: [1], data: Float32Array.of(0.5) },
  ]);
  const bundle = await importInto('chat', source, head);
  const golden = readGoldenScores('trl-lora').map(({ score }) => score + 0.5);
  const imported = (await scores(bundle, 'chat', 'trl-lora')).map((row) => row.at(-1) ?? NaN);
  expect(relativeError(imported, golden)).toBeLessThan(TOLERANCES.float32Scores);
  expect(await exportExpert(bundle, 'chat', 'imported', fresh())).toMatchObject({ bias: 0.5 });
  await expect(openExpertSource(goldenExpert('trl-lora'), head, start.basePath)).rejects.toMatchObject({
    reason: 'TWO_HEADS',
  });
});

it('makes a task that the bundle lacks, with the plan of the adapter', async () => {
  const source = await openExpertSource(goldenExpert('trl-alora'), null, start.basePath);
  const place = { task: 'fresh', capability: 'brevity' };
  const { bundle, newTask } = await addExpert(start, source, place, fresh(), options);
  expect(newTask).toBe(true);
  expect(bundle.task('fresh')).toMatchObject({ plan: { type: 'readout' }, aggregator: null });
  expect(bundle.task('chat')).toEqual(start.task('chat'));
});

describe('is refused, with nothing left behind', () => {
  it.each<[string, string, () => Promise<string> | string, string, RegExp]>([
    ['DoRA', 'chat', () => goldenAdapter('refused-dora'), 'UNSUPPORTED_ADAPTER', /DoRA/],
    ['another base', 'chat', () => goldenAdapter('qwen3-all'), 'ADAPTER_BASE_MISMATCH', /another base/],
    ['no head', 'chat', () => damaged(headless), 'NO_HEAD', /modules_to_save/],
    [
      'a head of another width',
      'chat',
      () =>
        damaged((name, data, shape) =>
          name.includes('score') ? { data: data.slice(1), shape: [1, 47] } : { data, shape },
        ),
      'ADAPTER_BASE_MISMATCH',
      /width 47.*size 48/,
    ],
    [
      'a head of two labels',
      'chat',
      () =>
        damaged((name, data, shape) =>
          name.includes('score') ? { data: new Float32Array(96), shape: [2, 48] } : { data, shape },
        ),
      'UNSUPPORTED_ADAPTER',
      /\[2, 48\]/,
    ],
    [
      'NaN in the adapter',
      'chat',
      () =>
        damaged((name, data, shape) => ({
          data: name.includes('3.self_attn.v_proj.lora_B') ? data.fill(NaN, 7, 8) : data,
          shape,
        })),
      'NON_FINITE_TENSOR',
      /layers\.3\.self_attn\.v_proj\.lora_B/,
    ],
    [
      'infinity in the head',
      'chat',
      () =>
        damaged((name, data, shape) => ({
          data: name.includes('score') ? data.fill(Infinity, 0, 1) : data,
          shape,
        })),
      'NON_FINITE_TENSOR',
      /score/,
    ],
    [
      'an ordinary LoRA in the plan readout',
      'qa',
      () => goldenExpert('trl-lora'),
      'PLAN_MISMATCH',
      /alora_invocation_tokens/,
    ],
    [
      'an activated LoRA in the plan full',
      'chat',
      () => goldenExpert('trl-alora'),
      'PLAN_MISMATCH',
      /plan readout/,
    ],
    [
      'all layers in the plan top_layers',
      'poem',
      () => goldenExpert('trl-lora'),
      'ADAPTER_BELOW_FORK',
      /layers_to_transform from 2/,
    ],
  ])('%s', async (_, task, source, reason, message) => {
    const into = fresh();
    await expect(importInto(task, await source(), null, into)).rejects.toMatchObject({
      reason,
      message: expect.stringMatching(message),
    });
    expect(existsSync(into)).toBe(false);
  });

  it('not, when nothing was changed', async () => {
    await expect(importInto('chat', await damaged(same))).resolves.toBeDefined();
  });

  it('a head file of another width', async () => {
    const head = join(folder, 'narrow.safetensors');
    const source = await damaged(headless);
    for (const [width, reason] of [
      [47, 'BAD_HEAD'],
      [48, null],
    ] as const) {
      await writeSafetensors(head, [
        { name: 'weight', shape: [width], data: new Float32Array(width).fill(1) },
      ]);
      const opening = openExpertSource(source, head, start.basePath);
      if (reason === null) await expect(opening).resolves.toBeDefined();
      else
        await expect(opening).rejects.toMatchObject({
          reason,
          message: expect.stringMatching(/narrow.*\[47\]/),
        });
    }
  });

  it('a capability that the task has', async () => {
    const source = await openExpertSource(goldenExpert('trl-lora'), null, start.basePath);
    const place = { task: 'chat', capability: 'tone' };
    await expect(addExpert(start, source, place, fresh(), options)).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      reason: 'CAPABILITY_EXISTS',
    });
  });
});

describe('scores of the trainer', () => {
  const check = async (source: string, basePath = start.basePath) => {
    const records = await readCheckRecords(join(source, 'dmoerm_check.jsonl'));
    const opened = await openExpertSource(source, null, basePath);
    return checkExpert({ basePath, plan: { type: 'full' }, source: opened }, records ?? [], 1e-3);
  };

  it('are found again', async () => {
    const { count: found, difference } = await check(goldenExpert('trl-lora'));
    expect(found).toBe(8);
    expect(difference).toBeLessThan(TOLERANCES.float32Scores);
  });

  it('show another base of the same sizes', async () => {
    const other = join(folder, 'other-base');
    cpSync(goldenBase('llama'), other, { recursive: true });
    await rewrite(
      join(goldenBase('llama'), 'model.safetensors'),
      join(other, 'model.safetensors'),
      (name, data, shape) => ({
        data: name.includes('layers.2.mlp.down_proj') ? data.map((value) => 1.1 * value) : data,
        shape,
      }),
    );
    await expect(check(goldenExpert('trl-lora'), other)).rejects.toMatchObject({ reason: 'SCORES_DIFFER' });
  });

  it('show other tokens, with the first that differs', async () => {
    const copy = fresh();
    cpSync(goldenExpert('trl-lora'), copy, { recursive: true });
    const [record] = readGoldenScores('trl-lora');
    const ids = [...(record?.input_ids ?? [])];
    writeFileSync(
      join(copy, 'dmoerm_check.jsonl'),
      `${JSON.stringify({ ...record, input_ids: ids.slice(0, -1) })}\n`,
    );
    await expect(check(copy)).rejects.toMatchObject({
      reason: 'TOKENS_DIFFER',
      field: 'records[0].input_ids',
      message: expect.stringContaining(`token ${ids.length - 1} is missing there and 3 here`),
    });
  });

  it.each([
    ['no JSON', '{', /:1: is no JSON/],
    [
      'a record without a score',
      '{"messages":[{"role":"user","content":"a"}],"candidate":"b","input_ids":[1]}',
      /:1: score/,
    ],
    ['nothing', '\n', /holds no record/],
  ])('are refused where a file holds %s', async (_, text, message) => {
    const file = join(folder, 'bad.jsonl');
    writeFileSync(file, text);
    await expect(readCheckRecords(file)).rejects.toMatchObject({
      reason: 'BAD_CHECK_RECORD',
      message: expect.stringMatching(message),
    });
    expect(await readCheckRecords(join(folder, 'none.jsonl'))).toBeNull();
  });
});

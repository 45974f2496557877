import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  addExpert,
  createBundle,
  exportExpert,
  openBundle,
  openExpertSource,
  type Bundle,
} from '@dmoerm/bundle';
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
import { loadModel } from './model';
import { damaged, headless } from './spec-support/damaged';

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
  const source = await damaged(fresh(), headless);
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

describe('a task with an adapter of its own on all rows', () => {
  /** The start with `task-a` or so on a task. */
  async function withTaskAdapter(task: string, name: string): Promise<Bundle> {
    const { files, ...manifest } = start.manifest;
    const sources = Object.fromEntries(Object.keys(files).map((path) => [path, start.file(path)]));
    const folders = { [`adapters/${task}-all`]: goldenAdapter(name) };
    const tasks = manifest.tasks.map((one) =>
      one.name === task ? { ...one, task_adapter: `adapters/${task}-all` } : one,
    );
    const spec = { manifest: { ...manifest, tasks }, sources: { ...sources, ...folders } };
    return createBundle(spec, fresh(), options);
  }

  it.each(['task-a', 'task-b'])(
    'exports %s and the expert as one adapter with the same scores',
    async (name) => {
      const whole = await withTaskAdapter('chat', name);
      const out = fresh();
      const { bias } = await exportExpert(whole, 'chat', 'tone', out);
      const again = await importInto('chat', out);
      const wanted = (await scores(whole, 'chat', 'trl-lora')).map(([, tone = NaN]) => tone - bias);
      const found = (await scores(again, 'chat', 'trl-lora')).map((row) => row.at(-1) ?? NaN);
      expect(relativeError(found, wanted)).toBeLessThan(TOLERANCES.float32Scores);
      const without = (await scores(start, 'chat', 'trl-lora')).map(([, tone = NaN]) => tone - bias);
      expect(relativeError(without, wanted)).toBeGreaterThan(TOLERANCES.float32Scores);
    },
  );

  it('is refused for export in the plan readout, and for import in any', async () => {
    const readout = await withTaskAdapter('qa', 'task-b');
    await expect(exportExpert(readout, 'qa', 'truth', fresh())).rejects.toMatchObject({
      reason: 'TASK_ADAPTER',
    });
    const source = await openExpertSource(goldenExpert('trl-alora'), null, start.basePath);
    const place = { task: 'qa', capability: 'imported' };
    await expect(addExpert(readout, source, place, fresh(), options)).rejects.toMatchObject({
      reason: 'TASK_ADAPTER',
    });
  });
});

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addExpert, openExpertSource, type Bundle } from '@dmoerm/bundle';
import { createSpecBundle, goldenAdapter, goldenExpert } from '@dmoerm/testing';
import { writeSafetensors } from '@dmoerm/weights';
import { damaged, headless, same } from './spec-support/damaged';

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-refused-'));
const options = { cacheDir: folder };
let start: Bundle;
let count = 0;
const fresh = () => join(folder, `made-${count++}`);

beforeAll(async () => {
  start = await createSpecBundle(join(folder, 'start'), folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

async function importInto(task: string, source: string, into = fresh()) {
  const opened = await openExpertSource(source, null, start.basePath);
  return (await addExpert(start, opened, { task, capability: 'imported' }, into, options)).bundle;
}

describe('is refused, with nothing left behind', () => {
  it.each<[string, string, () => Promise<string> | string, string, RegExp]>([
    ['DoRA', 'chat', () => goldenAdapter('refused-dora'), 'UNSUPPORTED_ADAPTER', /DoRA/],
    ['another base', 'chat', () => goldenAdapter('qwen3-all'), 'ADAPTER_BASE_MISMATCH', /another base/],
    ['no head', 'chat', () => damaged(fresh(), headless), 'NO_HEAD', /modules_to_save/],
    [
      'a head of another width',
      'chat',
      () =>
        damaged(fresh(), (name, data, shape) =>
          name.includes('score') ? { data: data.slice(1), shape: [1, 47] } : { data, shape },
        ),
      'ADAPTER_BASE_MISMATCH',
      /width 47.*size 48/,
    ],
    [
      'a head of two labels',
      'chat',
      () =>
        damaged(fresh(), (name, data, shape) =>
          name.includes('score') ? { data: new Float32Array(96), shape: [2, 48] } : { data, shape },
        ),
      'UNSUPPORTED_ADAPTER',
      /\[2, 48\]/,
    ],
    [
      'NaN in the adapter',
      'chat',
      () =>
        damaged(fresh(), (name, data, shape) => ({
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
        damaged(fresh(), (name, data, shape) => ({
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
    await expect(importInto(task, await source(), into)).rejects.toMatchObject({
      reason,
      message: expect.stringMatching(message),
    });
    expect(existsSync(into)).toBe(false);
  });

  it('not, when nothing was changed', async () => {
    await expect(importInto('chat', await damaged(fresh(), same))).resolves.toBeDefined();
  });

  it('a head file of another width', async () => {
    const head = join(folder, 'narrow.safetensors');
    const source = await damaged(fresh(), headless);
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

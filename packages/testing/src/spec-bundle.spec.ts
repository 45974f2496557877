import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBundle, type Bundle } from '@dmoerm/bundle';
import { readSafetensors, readTensorF32, writeSafetensors, type TensorRef } from '@dmoerm/weights';
import { goldenAdapter } from './goldens';
import { createSpecBundle } from './spec-bundle';

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-parts-'));
let bundle: Bundle;

beforeAll(async () => {
  bundle = await createSpecBundle(join(folder, 'sound'), folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Makes the bundle once more with parts of it replaced; digests fit, so only what the parts hold can be wrong. */
function remake(parts: Readonly<Record<string, string>>): Promise<Bundle> {
  const { files, ...manifest } = bundle.manifest;
  const replaced = Object.keys(parts);
  const kept = Object.keys(files).filter((path) => !replaced.some((part) => path.startsWith(part)));
  const sources = { ...Object.fromEntries(kept.map((path) => [path, bundle.file(path)])), ...parts };
  return createBundle({ manifest, sources }, join(folder, 'remade'), { cacheDir: folder });
}

/** The heads of `chat` after a change. */
async function heads(change: (tensor: string, data: Float32Array) => void): Promise<string> {
  const file = join(folder, 'heads.safetensors');
  const { tensors } = await readSafetensors(bundle.file('heads/chat.safetensors'));
  const written = await Promise.all(
    [...tensors].map(async ([name, ref]: [string, TensorRef]) => {
      const data = Float32Array.from(await readTensorF32(ref));
      change(name, data);
      return { name, shape: [...ref.shape], data };
    }),
  );
  await writeSafetensors(file, written);
  return file;
}

describe('a bundle whose digests fit is refused', () => {
  it('not, when its parts are those that were there', async () => {
    const same = await remake({ 'heads/chat.safetensors': await heads(() => undefined) });
    expect(same.revision).toBe(bundle.revision);
    rmSync(same.directory, { recursive: true });
  });

  it('for a NaN in the heads', async () => {
    const file = await heads((name, data) => {
      if (name === 'weight') data[5] = NaN;
    });
    await expect(remake({ 'heads/chat.safetensors': file })).rejects.toMatchObject({
      code: 'DATA_LOSS',
      reason: 'NON_FINITE_TENSOR',
      field: expect.stringContaining('weight'),
    });
  });

  it('for heads of another task, which has more capabilities', async () => {
    await expect(
      remake({ 'heads/chat.safetensors': bundle.file('heads/qa.safetensors') }),
    ).rejects.toMatchObject({ code: 'DATA_LOSS', reason: 'BAD_HEADS' });
  });

  it.each(['qwen3-all', 'refused-dora', 'refused-bias'])(
    'for the adapter %s, which the base cannot take',
    async (name) => {
      const refusal: unknown = await remake({ 'adapters/chat/qv': goldenAdapter(name) }).catch(
        (error: unknown) => error,
      );
      expect(refusal).toMatchObject({
        code: expect.stringMatching(/^(DATA_LOSS|UNIMPLEMENTED|INVALID_ARGUMENT)$/),
      });
      expect((refusal as Error).message).not.toBe('');
    },
  );

  it('for an adapter below the layer where its plan forks', async () => {
    await expect(remake({ 'adapters/poem/top2': goldenAdapter('all-linear') })).rejects.toMatchObject({
      reason: 'ADAPTER_BELOW_FORK',
    });
  });
});

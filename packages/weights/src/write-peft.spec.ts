import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { openBase } from './base';
import { linearSize, LORA_TARGETS } from './lora-size';
import { openAdapter } from './peft';
import { readTensorF32 } from './read-tensor';
import { failure, goldenAdapter, goldenBase, goldenNames, Scratch } from './spec-support/files';
import type { ModelConfig } from './types';
import { writeAdapter, type AdapterContent, type LoraValues } from './write-peft';

const scratch = new Scratch();
afterAll(() => scratch.remove());

let config: ModelConfig;
let count = 0;
beforeAll(async () => {
  config = (await openBase(goldenBase('llama'))).config;
});

const folder = () => join(scratch.folder, `written-${count++}`);
const numbers = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(seed + i * i) * 10 ** ((i % 9) - 4));

type Shape = Pick<LoraValues, 'layer' | 'target' | 'rank' | 'scale'>;
const filled = (shapes: readonly Shape[]): LoraValues[] =>
  shapes.map((shape, seed) => {
    const { out, inner } = linearSize(shape.target, config);
    return { ...shape, a: numbers(shape.rank * inner, seed), b: numbers(out * shape.rank, -seed - 1) };
  });
const content = (shapes: readonly Shape[], more: Partial<AdapterContent> = {}): AdapterContent => ({
  modules: filled(shapes),
  invocationTokens: null,
  head: null,
  baseName: 'llama',
  ...more,
});
const ONE: Shape = { layer: 1, target: 'up_proj', rank: 2, scale: 0.5 };

/** What is on disk, with values. */
async function readBack(path: string) {
  const { modules, invocationTokens, head } = await openAdapter(path, config);
  return {
    modules: await Promise.all(
      modules.map(async ({ layer, target, rank, scale, a, b }) => ({
        ...{ layer, target, rank, scale },
        a: await readTensorF32(a),
        b: await readTensorF32(b),
      })),
    ),
    invocationTokens,
    head: head && (await readTensorF32(head)),
  };
}

const rank = fc.integer({ min: 1, max: 40 });
/** A module's place: a layer of the base and a target. */
const place = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom(...LORA_TARGETS));
const shapesWith = (scale: (rank: number) => fc.Arbitrary<number>): fc.Arbitrary<Shape[]> =>
  fc
    .uniqueArray(place, { selector: String, minLength: 1, maxLength: 8 })
    .chain((places) =>
      fc.tuple(
        ...places.map(([layer, target]) =>
          rank.chain((r) => scale(r).map((s) => ({ layer, target, rank: r, scale: s }))),
        ),
      ),
    );
const alpha = fc.oneof(fc.integer({ min: 1, max: 128 }), fc.double({ min: 1e-3, max: 1e3, noNaN: true }));
const ordered = (modules: readonly LoraValues[]) =>
  modules.toSorted(
    (m, n) => m.layer - n.layer || LORA_TARGETS.indexOf(m.target) - LORA_TARGETS.indexOf(n.target),
  );

describe('writeAdapter', () => {
  it.each([
    ['alpha / rank', (r: number) => alpha.map((a) => a / r)],
    ['alpha / sqrt(rank)', (r: number) => alpha.map((a) => a / Math.sqrt(r))],
  ] as const)('gives every module, scale %s, token and head back to the bit', async (_, scale) => {
    await fc.assert(
      fc.asyncProperty(
        shapesWith(scale),
        fc.option(fc.array(fc.integer({ min: 0, max: 402 }), { minLength: 1, maxLength: 5 })),
        fc.boolean(),
        async (shapes, invocationTokens, withHead) => {
          const head = withHead ? numbers(config.hiddenSize, 3) : null;
          const written = content(shapes, { invocationTokens, head });
          const path = folder();
          await writeAdapter(path, written, config);
          expect(await readBack(path)).toEqual({ modules: ordered(written.modules), invocationTokens, head });
        },
      ),
      { numRuns: 30 },
    );
  });

  it('gives any other scale back as the same float32 number', async () => {
    const any = () => fc.double({ min: 1e-6, max: 1e6, noNaN: true });
    await fc.assert(
      fc.asyncProperty(shapesWith(any), async (shapes) => {
        const path = folder();
        const { modules } = content(shapes);
        await writeAdapter(path, content(shapes), config);
        const scales = (of: readonly Shape[]) => of.map(({ scale }) => Math.fround(scale));
        expect(scales((await openAdapter(path, config)).modules)).toEqual(scales(ordered(modules)));
      }),
      { numRuns: 30 },
    );
  });

  const adapters = goldenNames('adapters').filter((name) => !/^(refused|qwen3|gguf|bias-base)/.test(name));
  it.each(adapters)('writes what PEFT wrote: %s', async (name) => {
    const original = await readBack(goldenAdapter(name));
    const path = folder();
    await writeAdapter(path, { ...original, baseName: 'llama' }, config);
    expect(await readBack(path)).toEqual(original);
  });

  it('names targets and layers shortly where every layer has the same', async () => {
    const written = async (layers: readonly number[], targets: readonly LoraValues['target'][]) => {
      const path = folder();
      const shapes = layers.flatMap((layer) => targets.map((target) => ({ ...ONE, layer, target })));
      await writeAdapter(path, content(shapes), config);
      return JSON.parse(readFileSync(join(path, 'adapter_config.json'), 'utf8')) as object;
    };
    const short = { r: 2, lora_alpha: 1, rank_pattern: {}, alpha_pattern: {}, task_type: 'CAUSAL_LM' };
    expect(await written([0, 1, 2, 3], ['v_proj', 'q_proj'])).toMatchObject({
      ...short,
      target_modules: ['q_proj', 'v_proj'],
      layers_to_transform: null,
    });
    expect(await written([3, 2], ['q_proj'])).toMatchObject({ ...short, layers_to_transform: [2, 3] });
  });

  it('gives equal content equal bytes', async () => {
    const [one, other] = [folder(), folder()];
    for (const path of [one, other]) await writeAdapter(path, content([ONE]), config);
    for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
      expect(readFileSync(join(one, file)).equals(readFileSync(join(other, file)))).toBe(true);
  });

  it('takes what fits, and leaves a folder that is there as it was', async () => {
    const path = folder();
    await writeAdapter(path, content([ONE]), config);
    const before = readFileSync(join(path, 'adapter_config.json'), 'utf8');
    expect(await failure(() => writeAdapter(path, content([{ ...ONE, layer: 0 }]), config))).toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    expect(readFileSync(join(path, 'adapter_config.json'), 'utf8')).toBe(before);
  });

  const [module] = [() => filled([ONE])[0] as LoraValues];
  it.each<[string, () => Partial<AdapterContent>, string]>([
    ['no modules', () => ({ modules: [] }), 'modules'],
    [
      'a layer beyond the base',
      () => ({ modules: [{ ...module(), layer: 4 }] }),
      'layers.4.mlp.up_proj.layer',
    ],
    ['half a rank', () => ({ modules: [{ ...module(), rank: 1.5 }] }), 'layers.1.mlp.up_proj.rank'],
    ['no scale', () => ({ modules: [{ ...module(), scale: 0 }] }), 'layers.1.mlp.up_proj.scale'],
    [
      'a scale beyond float32',
      () => ({ modules: [{ ...module(), scale: 1e39 }] }),
      'layers.1.mlp.up_proj.scale',
    ],
    ['a short A', () => ({ modules: [{ ...module(), a: new Float32Array(5) }] }), 'layers.1.mlp.up_proj.a'],
    [
      'NaN in B',
      () => ({ modules: [{ ...module(), b: module().b.fill(NaN, 3, 4) }] }),
      'layers.1.mlp.up_proj.b',
    ],
    ['a wide head', () => ({ head: new Float32Array(49) }), 'head'],
    ['NaN in the head', () => ({ head: new Float32Array(48).fill(NaN) }), 'head'],
  ])('refuses %s and leaves nothing behind', async (_, change, field) => {
    const path = folder();
    const written = content([ONE]);
    expect(await failure(() => writeAdapter(path, { ...written, ...change() }, config))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field,
    });
    expect(existsSync(path)).toBe(false);
  });
});

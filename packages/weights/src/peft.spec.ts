import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { DmoermError } from '@dmoerm/core';
import { openBase } from './base';
import { openAdapter } from './peft';
import { failure, goldenAdapter, goldenBase, goldenNames, Scratch } from './spec-support/files';
import { writeSafetensors } from './write-safetensors';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const CONFIG = 'adapter_config.json';
const config = async (base = 'llama') => (await openBase(goldenBase(base))).config;
const open = async (folder: string, base?: string) => openAdapter(folder, await config(base));
const changed = (name: string, options: Record<string, unknown>) =>
  scratch.copy(goldenAdapter(name), CONFIG, options);
const rawConfig = (name: string) =>
  JSON.parse(readFileSync(join(goldenAdapter(name), CONFIG), 'utf8')) as {
    base_model_name_or_path: string;
    r: number;
  };

const names = goldenNames('adapters');
const refused = names.filter((name) => name.startsWith('refused-'));

describe('openAdapter', () => {
  it.each(names.filter((name) => !refused.includes(name)))('opens %s', async (name) => {
    const adapter = await open(goldenAdapter(name), rawConfig(name).base_model_name_or_path);
    expect(adapter.modules.length).toBeGreaterThan(0);
    for (const { rank, a, b, scale } of adapter.modules) {
      expect([a.shape[0], b.shape[1]]).toEqual([rank, rank]);
      expect(scale).toBeGreaterThan(0);
    }
    expect(adapter.invocationTokens !== null).toBe(name.includes('alora'));
    expect(adapter.head?.shape).toEqual(name === 'score-head' ? [1, 48] : undefined);
  });

  it.each(refused)('refuses %s by name', async (name) => {
    const error = await failure(() => open(goldenAdapter(name)));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UNSUPPORTED_ADAPTER' });
    expect(error.message).toMatch(
      { bias: /bias/, dora: /DoRA/, embedding: /embeddings/, pissa: /pissa/ }[name.slice(8)] ?? /never/,
    );
  });

  it('scales by alpha / r, and by alpha / sqrt(r) with rslora', async () => {
    const scales = async (folder: string) => new Set((await open(folder)).modules.map(({ scale }) => scale));
    expect(await scales(goldenAdapter('rank3'))).toEqual(new Set([5 / 3]));
    expect(await scales(goldenAdapter('rslora'))).toEqual(new Set([12 / Math.sqrt(6)]));
    expect(await scales(changed('rank3', { use_rslora: true }))).toEqual(new Set([5 / Math.sqrt(3)]));
  });

  it('finds rank and alpha of a module by the first pattern that matches its name', async () => {
    const { modules } = await open(goldenAdapter('patterns'));
    const of = (layer: number, target: string) =>
      modules.find((module) => module.layer === layer && module.target === target);
    expect(of(0, 'q_proj')).toMatchObject({ rank: 4, scale: 8 / 4 });
    expect(of(1, 'q_proj')).toMatchObject({ rank: 2, scale: 8 / 2 });
    expect(of(0, 'v_proj')).toMatchObject({ rank: 7, scale: 8 / 7 });
    expect(of(1, 'o_proj')).toMatchObject({ rank: 4, scale: 3 / 4 });
    expect(of(1, 'up_proj')).toMatchObject({ rank: 4, scale: 8 / 4 });
    expect(of(2, 'up_proj')).toMatchObject({ rank: 4, scale: 20 / 4 });
  });

  it('matches patterns at the end of a name and from a dot on only', async () => {
    const scale = async (pattern: string) =>
      (await open(changed('qv', { alpha_pattern: { [pattern]: 80 } }))).modules[0]?.scale;
    expect(await scale('q_proj')).toBe(10);
    expect(await scale('layers.0.self_attn.q_proj')).toBe(10);
    expect(await scale('_proj')).toBe(2);
    expect(await scale('self_attn')).toBe(2);
  });

  it('orders modules by layer, then by target', async () => {
    const { modules } = await open(goldenAdapter('all-linear'));
    expect(modules.slice(0, 8).map(({ layer, target }) => `${layer} ${target}`)).toEqual([
      '0 q_proj',
      '0 k_proj',
      '0 v_proj',
      '0 o_proj',
      '0 gate_proj',
      '0 up_proj',
      '0 down_proj',
      '1 q_proj',
    ]);
  });

  it('says that an adapter is for another base, with both sizes', async () => {
    const wide = await failure(() => open(goldenAdapter('qv'), 'qwen2'));
    expect(wide).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'ADAPTER_BASE_MISMATCH' });
    expect(wide.message).toMatch(/for another base.*maps 48 to 48.*80 to 80/);
    const shallow = await failure(() => open(goldenAdapter('all-linear'), 'llama-sharded'));
    expect(shallow.message).toMatch(/for another base.*layer 2.*2 layers/);
    const head = await failure(async () =>
      openAdapter(goldenAdapter('score-head'), { ...(await config()), hiddenSize: 64 }),
    );
    expect(head.message).toMatch(/for another base/);
    const tokens = await failure(() => open(changed('alora-a', { alora_invocation_tokens: [5000] })));
    expect(tokens.message).toMatch(/for another base.*token 5000.*403 tokens/);
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [{ peft_type: 'IA3' }, /IA3.*LORA/],
    [{ peft_type: undefined }, /peft_type missing.*LORA/],
    [{ use_dora: true }, /DoRA/],
    [{ bias: 'lora_only' }, /bias "lora_only".*none/],
    [{ lora_bias: true }, /lora_bias/],
    [{ init_lora_weights: 'pissa_niter_16' }, /pissa_niter_16/],
    [{ init_lora_weights: 'olora' }, /olora/],
    [{ init_lora_weights: 'loftq' }, /loftq/],
    [{ init_lora_weights: 'corda' }, /corda/],
    [{ target_parameters: ['experts.0'] }, /target_parameters/],
    [{ trainable_token_indices: [1, 2] }, /trainable_token_indices/],
    [{ fan_in_fan_out: true }, /fan_in_fan_out/],
    [{ layer_replication: [[0, 2]] }, /layer_replication/],
    [{ use_qalora: true }, /use_qalora/],
    [{ use_bdlora: { nblocks: 2 } }, /use_bdlora/],
    [{ modules_to_save: ['embed_tokens'] }, /modules_to_save.*embed_tokens.*score/],
    [{ something_of_tomorrow: { strength: 1 } }, /something_of_tomorrow/],
  ])('refuses the option %j by name', async (options, message) => {
    const error = await failure(() => open(changed('qv', options)));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UNSUPPORTED_ADAPTER' });
    expect(error.message).toMatch(message);
  });

  it.each<[Record<string, unknown>]>([
    [{ init_lora_weights: 'gaussian' }],
    [{ init_lora_weights: false }],
    [{ modules_to_save: ['score'] }],
    [{ something_of_tomorrow: null, another: false, third: [], fourth: {} }],
    [{ layers_to_transform: [0, 1, 2, 3] }],
    [{ lora_dropout: 0.1, task_type: 'SEQ_CLS', target_modules: '.*(q|v)_proj' }],
  ])('takes %j, which changes nothing', async (options) => {
    expect((await open(changed('qv', options))).modules).toHaveLength(8);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['another rank than the tensors', { r: 4 }, 'RANK_MISMATCH'],
    ['layers that are not configured', { layers_to_transform: [0] }, 'LAYER_NOT_CONFIGURED'],
    ['a rank of 0', { r: 0 }, 'BAD_JSON_VALUE'],
    ['no alpha', { lora_alpha: undefined }, 'BAD_JSON_VALUE'],
    ['no invocation tokens in the list', { alora_invocation_tokens: [] }, 'BAD_JSON_VALUE'],
    ['a pattern that is no regular expression', { rank_pattern: { '(': 2 } }, 'BAD_PATTERN'],
    ['a pattern that would run for ever', { rank_pattern: { '(.*.*)*x': 2 } }, 'BAD_PATTERN'],
    ['a pattern with too many repeats', { rank_pattern: { '.*.*.*.*.*x': 2 } }, 'BAD_PATTERN'],
  ])('refuses a config with %s', async (_, options, reason) => {
    expect(await failure(() => open(changed('qv', options)))).toMatchObject({ code: 'DATA_LOSS', reason });
  });

  it.each<[string, string, readonly number[], RegExp]>([
    [
      'half of a pair',
      'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight',
      [8, 48],
      /only one of lora_A and lora_B/,
    ],
    ['a wide head', 'base_model.model.score.weight', [3, 48], /score head \[3, 48\]/],
    ['a trained bias', 'base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias', [48], /trained bias/],
    ['a language-model head', 'base_model.model.lm_head.lora_A.weight', [8, 48], /language-model head/],
    [
      'an unknown module',
      'base_model.model.model.layers.0.mlp.router.lora_A.weight',
      [8, 48],
      /router.*may act on/,
    ],
  ])('refuses tensors with %s', async (_, name, shape, message) => {
    const folder = changed('qv', {});
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    await writeSafetensors(join(folder, 'adapter_model.safetensors'), [{ name, shape, data }]);
    expect((await failure(() => open(folder))).message).toMatch(message);
  });

  it('asks for safetensors where there is a pickle', async () => {
    const folder = changed('qv', {});
    renameSync(join(folder, 'adapter_model.safetensors'), join(folder, 'adapter_model.bin'));
    expect((await failure(() => open(folder))).message).toMatch(
      /adapter_model\.bin.*adapter_model\.safetensors/,
    );
  });

  it('ends with a DmoermError or a result for any option values', async () => {
    const base = await config();
    const options = Object.keys(rawConfig('qv'));
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom(...options), fc.jsonValue(), { maxKeys: 3 }),
        async (values) => {
          try {
            await openAdapter(changed('qv', values), base);
          } catch (error) {
            expect(error).toBeInstanceOf(DmoermError);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

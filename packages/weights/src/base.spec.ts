import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openBase } from './base';
import { failure, goldenBase, goldenNames, Scratch } from './spec-support/files';
import { ggufFile, write } from './spec-support/gguf-bytes';

const scratch = new Scratch();
afterAll(() => scratch.remove());

const changed = (name: string, config: Record<string, unknown>) =>
  scratch.copy(goldenBase(name), 'config.json', config);
const configOf = async (name: string, config: Record<string, unknown>) =>
  (await openBase(changed(name, config))).config;

describe('openBase', () => {
  it.each(goldenNames('bases'))('opens %s with every tensor in its place', async (name) => {
    const { config, tensors } = await openBase(goldenBase(name));
    expect(tensors.get('embed_tokens.weight')?.shape).toEqual([config.vocabSize, config.hiddenSize]);
    expect(tensors.has(`layers.${config.layerCount - 1}.mlp.down_proj.weight`)).toBe(true);
    expect(tensors.has('lm_head.weight')).toBe(!config.tiedEmbeddings);
    expect(config.inverseFrequencies).toHaveLength(config.headDim / 2);
    expect(config.slidingWindows).toHaveLength(config.layerCount);
    expect(tensors.has('layers.0.self_attn.q_proj.bias')).toBe(/qwen2|bias/.test(name));
    expect(tensors.has('layers.0.self_attn.q_norm.weight')).toBe(/qwen3/.test(name));
    expect([...tensors.values()].every(({ file }) => existsSync(file))).toBe(true);
  });

  it('marks as interleaved exactly the query and key rows of GGUF llama', async () => {
    const marked = async (name: string) =>
      [...(await openBase(goldenBase(name))).tensors.values()]
        .filter((tensor) => tensor.ropeInterleaved)
        .map(({ name }) => name);
    expect(await marked('gguf-f32')).toEqual(
      [0, 1].flatMap((layer) => ['q', 'k'].map((part) => `layers.${layer}.self_attn.${part}_proj.weight`)),
    );
    expect(await marked('gguf-qwen2')).toEqual([]);
    expect(await marked('llama')).toEqual([]);
  });

  it('reads the shapes of sizes and RoPE from config.json', async () => {
    expect(await configOf('llama3-rope', {})).toMatchObject({
      architecture: 'llama',
      hiddenSize: 48,
      layerCount: 2,
      headCount: 4,
      kvHeadCount: 2,
      headDim: 16,
      ffnSize: 100,
      vocabSize: 300,
      maxPositions: 512,
      rmsNormEps: 1e-5,
      ropeScale: 1,
      slidingWindows: [0, 0],
    });
    expect((await openBase(goldenBase('yarn'))).config.ropeScale).toBeCloseTo(0.1 * Math.log(4) + 1, 12);
  });

  it('divides frequencies by the factors that a GGUF file stores', async () => {
    const { inverseFrequencies } = (await openBase(goldenBase('gguf-rope-factors'))).config;
    const factors = [1, 1, 1.25, 2.5, 5, 8, 8, 8];
    inverseFrequencies.forEach((frequency, i) =>
      expect(frequency * (factors[i] ?? 0)).toBeCloseTo(10_000 ** (-i / 8), 6),
    );
  });

  it('takes sliding windows from where each family writes them', async () => {
    expect((await openBase(goldenBase('mistral'))).config.slidingWindows).toEqual([16, 16]);
    expect((await configOf('mistral', { sliding_window: undefined })).slidingWindows).toEqual([4096, 4096]);
    expect((await configOf('mistral', { sliding_window: null })).slidingWindows).toEqual([0, 0]);
    expect((await configOf('qwen2-window', {})).slidingWindows).toEqual([0, 9]);
    expect((await configOf('qwen2-window', { layer_types: undefined })).slidingWindows).toEqual([0, 9]);
    expect((await configOf('qwen2-window', { use_sliding_window: false })).slidingWindows).toEqual([0, 0]);
    expect((await configOf('llama', { sliding_window: 7 })).slidingWindows).toEqual([0, 0, 0, 0]);
  });

  it('reads old and new ways to write RoPE alike', async () => {
    const rope = { rope_type: 'linear', factor: 2.5, rope_theta: 10_000 };
    const old = (await openBase(goldenBase('linear-rope'))).config.inverseFrequencies;
    const now = await configOf('linear-rope', {
      rope_scaling: undefined,
      rope_theta: undefined,
      rope_parameters: rope,
    });
    expect(now.inverseFrequencies).toEqual(old);
    expect(now.inverseFrequencies[0]).toBeCloseTo(1 / 2.5, 7);
  });

  it.each<[string, string, Record<string, unknown>, RegExp]>([
    [
      'an unknown architecture',
      'llama',
      { model_type: 'gemma3' },
      /architecture gemma3.*llama, mistral, qwen2, qwen3/,
    ],
    ['another activation', 'llama', { hidden_act: 'gelu' }, /hidden_act gelu.*silu/],
    [
      'dynamic RoPE',
      'llama',
      { rope_scaling: { type: 'dynamic', factor: 2 } },
      /dynamic.*default, linear, llama3, yarn/,
    ],
    [
      'longrope',
      'llama',
      { rope_scaling: { rope_type: 'longrope', factor: 2 } },
      /longrope.*default, linear, llama3, yarn/,
    ],
    ['RoPE over a part of the head', 'llama', { partial_rotary_factor: 0.5 }, /partial_rotary_factor 0.5/],
    [
      'unknown layers',
      'qwen3',
      { layer_types: ['full_attention', 'full_attention', 'linear'] },
      /layer type linear/,
    ],
    [
      'quantised folders',
      'llama',
      { quantization_config: { quant_method: 'gptq' } },
      /quantization_config.*GGUF/,
    ],
  ])('refuses %s by name', async (_, base, config, message) => {
    const error = await failure(() => openBase(changed(base, config)));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UNSUPPORTED_MODEL' });
    expect(error.message).toMatch(message);
  });

  it.each<[string, string, Record<string, unknown>, string]>([
    ['a layer that is not there', 'llama', { num_hidden_layers: 5 }, 'MISSING_TENSOR'],
    ['a wider MLP than the tensors have', 'llama', { intermediate_size: 101 }, 'BAD_TENSOR_SHAPE'],
    ['another vocabulary', 'llama', { vocab_size: 404 }, 'BAD_TENSOR_SHAPE'],
    ['biases that are not there', 'llama', { attention_bias: true }, 'MISSING_TENSOR'],
    ['heads that do not divide', 'llama', { num_key_value_heads: 3 }, 'BAD_MODEL_SIZES'],
    ['an odd head size', 'llama', { head_dim: 11 }, 'BAD_MODEL_SIZES'],
    ['a billion layers', 'llama', { num_hidden_layers: 1e9 }, 'BAD_JSON_VALUE'],
    ['no hidden size', 'llama', { hidden_size: undefined }, 'BAD_JSON_VALUE'],
    [
      'llama3 scaling without its factors',
      'llama',
      { rope_scaling: { rope_type: 'llama3', factor: 8 } },
      'MISSING_ROPE_SETTING',
    ],
    ['layer types of another length', 'qwen3', { layer_types: ['full_attention'] }, 'BAD_LAYER_TYPES'],
  ])('refuses a config with %s', async (_, base, config, reason) => {
    expect(await failure(() => openBase(changed(base, config)))).toMatchObject({ code: 'DATA_LOSS', reason });
  });

  it.each([
    ['biases', 'llama-bias', { attention_bias: false }, /self_attn\.._proj\.bias/],
    ['q and k norms', 'qwen3', { model_type: 'llama' }, /self_attn\.._norm/],
    ['more layers', 'llama', { num_hidden_layers: 3 }, /layers\.3\./],
  ])('refuses tensors that the config has no place for: %s', async (_, base, config, name) => {
    const error = await failure(() => openBase(changed(base, config)));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UNSUPPORTED_TENSOR' });
    expect(error.message).toMatch(name);
  });

  it('refuses shards that are missing, misnamed or outside of their folder', async () => {
    const gone = changed('llama-sharded', {});
    rmSync(join(gone, 'model-00002-of-00002.safetensors'));
    expect(await failure(() => openBase(gone))).toMatchObject({ code: 'NOT_FOUND' });

    const swapped = changed('llama-sharded', {});
    renameSync(join(swapped, 'model-00001-of-00002.safetensors'), join(swapped, 'x'));
    renameSync(
      join(swapped, 'model-00002-of-00002.safetensors'),
      join(swapped, 'model-00001-of-00002.safetensors'),
    );
    renameSync(join(swapped, 'x'), join(swapped, 'model-00002-of-00002.safetensors'));
    expect(await failure(() => openBase(swapped))).toMatchObject({ reason: 'INDEX_MISMATCH' });

    const index = 'model.safetensors.index.json';
    const outside = scratch.copy(goldenBase('llama-sharded'), index, {
      weight_map: { a: '../model.safetensors' },
    });
    expect(await failure(() => openBase(outside))).toMatchObject({ reason: 'BAD_SHARD_NAME' });
  });

  it('says what is missing of a folder', async () => {
    expect(await failure(() => openBase(join(scratch.folder, 'nowhere')))).toMatchObject({
      reason: 'FILE_NOT_FOUND',
    });
    const bare = changed('llama', {});
    rmSync(join(bare, 'model.safetensors'));
    expect(await failure(() => openBase(bare))).toMatchObject({ code: 'NOT_FOUND', reason: 'NO_WEIGHTS' });
  });

  it.each([
    ['another architecture', 'gemma', [], /architecture gemma.*llama, qwen2, qwen3/],
    ['experts', 'llama', [write.pair('llama.expert_count', 4, write.u32(8))], /mixture-of-experts/],
    [
      'a sliding window',
      'llama',
      [write.pair('llama.attention.sliding_window', 4, write.u32(8))],
      /sliding window/,
    ],
  ])('refuses a GGUF file with %s by name', async (_, architecture, pairs, message) => {
    const named = write.pair('general.architecture', 8, write.string(architecture));
    const error = await failure(() => openBase(scratch.write(ggufFile({ pairs: [named, ...pairs] }))));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'UNSUPPORTED_MODEL' });
    expect(error.message).toMatch(message);
  });

  it('refuses a GGUF file without the metadata that a model needs', async () => {
    const named = write.pair('general.architecture', 8, write.string('llama'));
    const error = await failure(() => openBase(scratch.write(ggufFile({ pairs: [named] }))));
    expect(error).toMatchObject({ code: 'DATA_LOSS', reason: 'BAD_METADATA' });
    expect(error.message).toContain('llama.embedding_length');
  });
});

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors, type NamedTensor } from '@dmoerm/weights';
import { createRandom, normal } from '@dmoerm/core';
import type { DecoderConfig } from '../training/recipe';
import { SPECIAL_TOKENS, type Vocabulary } from './bpe';

/** Turns in special tokens, which text cannot forge. */
const TEMPLATE =
  "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/** Writes a Hugging Face folder without weights: configuration, tokenizer, chat template. */
export function writeDecoderFolder(folder: string, decoder: DecoderConfig, vocabulary: Vocabulary): void {
  mkdirSync(folder, { recursive: true });
  const write = (name: string, value: unknown): void =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
  write('config.json', {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    attention_bias: false,
    bos_token_id: 0,
    eos_token_id: SPECIAL_TOKENS.indexOf('<|end|>'),
    head_dim: decoder.hidden / decoder.heads,
    hidden_act: 'silu',
    hidden_size: decoder.hidden,
    intermediate_size: decoder.ffn,
    max_position_embeddings: decoder.positions,
    mlp_bias: false,
    num_attention_heads: decoder.heads,
    num_hidden_layers: decoder.layers,
    num_key_value_heads: decoder.kv_heads,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    torch_dtype: 'bfloat16',
    vocab_size: decoder.vocabulary,
  });
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  write('tokenizer.json', {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel],
    },
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.tokens),
      merges: vocabulary.merges,
    },
  });
  write('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<|bos|>',
    eos_token: '<|end|>',
    pad_token: '<|end|>',
    chat_template: TEMPLATE,
    clean_up_tokenization_spaces: false,
    model_max_length: decoder.positions,
  });
}

/** Canonical names and shapes of a decoder's tensors. */
function tensorShapes({
  vocabulary,
  hidden,
  layers,
  heads,
  kv_heads: kv,
  ffn,
}: DecoderConfig): [string, number[]][] {
  const kvWidth = (hidden / heads) * kv;
  return [
    ['embed_tokens.weight', [vocabulary, hidden]],
    ['norm.weight', [hidden]],
    ...Array.from({ length: layers }, (_, l): [string, number[]][] => [
      [`layers.${l}.input_layernorm.weight`, [hidden]],
      [`layers.${l}.post_attention_layernorm.weight`, [hidden]],
      [`layers.${l}.self_attn.q_proj.weight`, [hidden, hidden]],
      [`layers.${l}.self_attn.k_proj.weight`, [kvWidth, hidden]],
      [`layers.${l}.self_attn.v_proj.weight`, [kvWidth, hidden]],
      [`layers.${l}.self_attn.o_proj.weight`, [hidden, hidden]],
      [`layers.${l}.mlp.gate_proj.weight`, [ffn, hidden]],
      [`layers.${l}.mlp.up_proj.weight`, [ffn, hidden]],
      [`layers.${l}.mlp.down_proj.weight`, [hidden, ffn]],
    ]).flat(),
  ];
}

/** Weights to begin with: normal with deviation 0.02, what adds to the residual stream scaled down by its depth; norms 1. */
export async function writeRandomWeights(
  folder: string,
  decoder: DecoderConfig,
  seed: number,
): Promise<void> {
  const random = createRandom(seed);
  const tensors = tensorShapes(decoder).map(([name, shape]): NamedTensor => {
    const count = shape.reduce((a, b) => a * b, 1);
    const deviation = /o_proj|down_proj/.test(name) ? 0.02 / Math.sqrt(2 * decoder.layers) : 0.02;
    const data = name.includes('norm')
      ? new Float32Array(count).fill(1)
      : Float32Array.from({ length: count }, () => deviation * normal(random));
    return { name: `model.${name}`, shape, data };
  });
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
}

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MODELS_DIR } from '../paths';
import { progress } from '../progress';
import { Random, toBf16 } from './random';
import { EIGHT_BILLION_LAYERS, HALF_BILLION, linearLayers, moduleName, type Shape } from './shape';
import { makeOnce } from './whole';
import { writeBf16Safetensors, type Bf16Tensor } from './write-bf16';

const BIASED: readonly string[] = ['q_proj', 'k_proj', 'v_proj'];

/** The random base of half a billion parameters, a Hugging Face folder; written when it is first asked for. */
export function halfBillionBase(): Promise<string> {
  return randomBase('qwen2-0.5b', HALF_BILLION, 'a random Qwen2 base of 0.5B parameters (0.8 GB, once)');
}

/** The same with two layers of eight billion parameters, for GPUs. */
export function eightBillionLayers(): Promise<string> {
  return randomBase('8b-layers', EIGHT_BILLION_LAYERS, 'two random layers of an 8B model (0.9 GB, once)');
}

function randomBase(name: string, shape: Shape, what: string): Promise<string> {
  return makeOnce(join(MODELS_DIR, name), async (draft) => {
    progress(`writing ${what}`);
    await mkdir(draft);
    await writeFile(join(draft, 'config.json'), `${JSON.stringify(hfConfig(shape), null, 2)}\n`);
    await writeBf16Safetensors(join(draft, 'model.safetensors'), baseTensors(shape));
  });
}

function hfConfig(shape: Shape): object {
  return {
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    hidden_size: shape.hiddenSize,
    intermediate_size: shape.ffnSize,
    num_hidden_layers: shape.layerCount,
    num_attention_heads: shape.headCount,
    num_key_value_heads: shape.kvHeadCount,
    vocab_size: shape.vocabSize,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    use_sliding_window: false,
    torch_dtype: 'bfloat16',
  };
}

function baseTensors(shape: Shape): Bf16Tensor[] {
  const { hiddenSize: d, layerCount, vocabSize } = shape;
  const layers = Array.from({ length: layerCount }, (_, layer) =>
    layerTensors(shape, `model.layers.${layer}`),
  );
  return [noise('model.embed_tokens.weight', [vocabSize, d]), ...layers.flat(), ones('model.norm.weight', d)];
}

function layerTensors(shape: Shape, prefix: string): Bf16Tensor[] {
  const norms = ['input_layernorm', 'post_attention_layernorm'].map((norm) =>
    ones(`${prefix}.${norm}.weight`, shape.hiddenSize),
  );
  const linears = linearLayers(shape).flatMap(({ target, out, inner }) => {
    const name = `${prefix}.${moduleName(target)}`;
    const weight = noise(`${name}.weight`, [out, inner]);
    return BIASED.includes(target) ? [weight, noise(`${name}.bias`, [out])] : [weight];
  });
  return [...norms, ...linears];
}

function noise(name: string, shape: readonly number[]): Bf16Tensor {
  return { name, shape, make: (length) => new Random(name).weightsBf16(length) };
}

function ones(name: string, size: number): Bf16Tensor {
  return { name, shape: [size], make: (length) => new Uint16Array(length).fill(toBf16(1)) };
}

const LAYER_PARTS: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};
const MODEL_PARTS: Readonly<Record<string, string>> = {
  token_embd: 'embed_tokens',
  output_norm: 'norm',
  output: 'lm_head',
};

/** The canonical name of a GGUF tensor; a name without one stays as it is. */
export function canonicalGgufName(name: string): string {
  const [, block, part = '', kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const known = block === undefined ? MODEL_PARTS : LAYER_PARTS;
  if (!Object.hasOwn(known, part)) return name;
  return `${block === undefined ? '' : `layers.${block}.`}${known[part]}.${kind}`;
}

/** Whether GGUF's `llama` converter reorders the rows of this tensor for RoPE over neighbouring pairs. */
export function isGgufRopeInterleaved(name: string): boolean {
  return /^blk\.\d+\.attn_[qk]\.(weight|bias)$/.test(name);
}

"""Small random bases as GGUF files: one per block type that the reader must know.

Files are written as llama.cpp's converter writes them: for `llama`, rows of q and k are reordered from RoPE pairs
(i, i + head/2) to neighbours (2i, 2i+1); for `qwen2` and `qwen3` they are not. The oracle reads the file back,
dequantises it with gguf and undoes the order, so it sees the very numbers that the file holds.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter, TokenType
from gguf.quants import dequantize, quantize
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from hf_bases import COMMON, random_model
from randomness import generator

#: Rows that are whole blocks of 32, though not of 64.
BLOCKS = dict(hidden_size=96, intermediate_size=160, vocab_size=100)
#: Rows that are whole K-quant blocks of 256.
SUPER_BLOCKS = dict(
    hidden_size=256, intermediate_size=256, num_hidden_layers=1, num_key_value_heads=1, vocab_size=60
)
#: Frequency divisors as written for Llama 3's RoPE scaling.
ROPE_FACTORS = np.array([1.0, 1.0, 1.25, 2.5, 5.0, 8.0, 8.0, 8.0], dtype=np.float32)


@dataclass(frozen=True)
class GgufBase:
    """A file to write. `type` holds for every matrix that `types` does not name."""

    name: str
    type: Type
    arch: str = "llama"
    options: dict[str, Any] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    alignment: int | None = None
    rope_factors: np.ndarray | None = None
    tokenizer_split: str | None = None


def gguf_bases(tokenizer_size: int) -> list[GgufBase]:
    """All bases of this kind; the two with a `tokenizer_split` hold the tiny tokenizer."""
    mixed = {"attn_v": Type.Q6_K, "ffn_down": Type.Q6_K, "token_embd": Type.Q6_K}
    return [
        GgufBase("gguf-f32", Type.F32, options=dict(vocab_size=tokenizer_size), tokenizer_split="smollm"),
        GgufBase("gguf-f16", Type.F16, options=dict(tie_word_embeddings=False), alignment=64),
        GgufBase("gguf-bf16", Type.BF16),
        GgufBase("gguf-q8_0", Type.Q8_0, options=BLOCKS),
        GgufBase("gguf-q4_0", Type.Q4_0, options=BLOCKS),
        GgufBase("gguf-q4_1", Type.Q4_1, options=BLOCKS, types={"token_embd": Type.Q8_0}),
        GgufBase("gguf-q4_k", Type.Q4_K, options={**SUPER_BLOCKS, "num_hidden_layers": 2}, types=mixed),
        GgufBase("gguf-q6_k", Type.Q6_K, options=SUPER_BLOCKS),
        GgufBase("gguf-rope-factors", Type.F32, options=dict(head_dim=16), rope_factors=ROPE_FACTORS),
        GgufBase("gguf-qwen2", Type.Q8_0, "qwen2", {**BLOCKS, "vocab_size": tokenizer_size}, tokenizer_split="qwen2"),
        GgufBase("gguf-qwen3", Type.F16, "qwen3", options=dict(head_dim=16)),
    ]


TENSORS = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """The GGUF name of a transformers tensor."""
    stem, suffix = name.rsplit(".", 1)
    if not stem.startswith("model.layers."):
        return f"{TENSORS[stem]}.{suffix}"
    layer, rest = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{TENSORS[rest]}.{suffix}"


def heads_of(config: Any, name: str) -> int:
    """Heads whose rows are reordered in this tensor, 0 if none."""
    if config.model_type != "llama":
        return 0
    if "attn_q." in name:
        return config.num_attention_heads
    return config.num_key_value_heads if "attn_k." in name else 0


def to_neighbours(rows: np.ndarray, heads: int) -> np.ndarray:
    """Reorders rows from pairs (i, i + head/2) to neighbours (2i, 2i+1) within each head."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def from_neighbours(rows: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of to_neighbours."""
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def random_k_blocks(name: str, shape: tuple[int, ...], kind: Type) -> np.ndarray:
    """Random valid K-quant blocks whose values have a standard deviation of about 1/16."""
    make = generator(f"blocks/{name}")
    count = shape[0] * shape[1] // 256
    jitter = make.uniform(0.5, 1.5, (count, 1))
    if kind == Type.Q6_K:
        packed = make.integers(0, 256, (count, 128 + 64 + 16), dtype=np.uint8)
        blocks = np.concatenate([packed, (jitter * 4.5e-5).astype(np.float16).view(np.uint8)], axis=1)
    else:
        scale = (jitter * 2.5e-4).astype(np.float16)
        minimum = (jitter * 7.5 * 2.5e-4).astype(np.float16)
        packed = make.integers(0, 256, (count, 12 + 128), dtype=np.uint8)
        blocks = np.concatenate([scale.view(np.uint8), minimum.view(np.uint8), packed], axis=1)
    return blocks.reshape(shape[0], -1)


def encode(base: GgufBase, name: str, values: np.ndarray) -> tuple[np.ndarray, Type]:
    """A tensor's bytes and type in the file."""
    kind = base.type if values.ndim == 2 else Type.F32
    for part, other in base.types.items():
        kind = other if f"{part}." in name and values.ndim == 2 else kind
    if kind in (Type.Q4_K, Type.Q6_K):
        return random_k_blocks(f"{base.name}/{name}", values.shape, kind), kind
    return quantize(values, kind), kind


def write_gguf_base(base: GgufBase, folder: Path, tokenizers: dict[str, PreTrainedTokenizerFast]) -> Path:
    """Writes bases/<name>/<name>.gguf and gives the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{base.name}.gguf"
    model = random_model(base.name, base.arch, base.options)
    writer = GGUFWriter(path, base.arch)
    if base.alignment:
        writer.add_custom_alignment(base.alignment)
    add_metadata(writer, base, model.config)
    if base.tokenizer_split:
        add_tokenizer(writer, tokenizers[base.tokenizer_split], base.tokenizer_split)
    if base.rope_factors is not None:
        writer.add_tensor("rope_freqs.weight", base.rope_factors)
    for key, parameter in model.named_parameters():
        name, values = gguf_name(key), parameter.detach().numpy()
        if heads := heads_of(model.config, name):
            values = to_neighbours(values, heads)
        data, kind = encode(base, name, values)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_metadata(writer: GGUFWriter, base: GgufBase, config: Any) -> None:
    writer.add_name(base.name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    head = head_size(config)
    writer.add_rope_dimension_count(head)
    if head * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(head)
        writer.add_value_length(head)


def head_size(config: Any) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def add_tokenizer(writer: GGUFWriter, tokenizer: PreTrainedTokenizerFast, split: str) -> None:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    entries = sorted(model["vocab"], key=model["vocab"].get)
    special = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(entries)
    writer.add_token_types([TokenType.CONTROL if entry in special else TokenType.NORMAL for entry in entries])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)


def read_gguf_base(base: GgufBase, path: Path) -> torch.nn.Module:
    """The oracle's float64 model with the file's numbers."""
    reader = GGUFReader(path)
    stored = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    config = AutoConfig.for_model(base.arch, **{**COMMON, **base.options})
    model = AutoModelForCausalLM.from_config(config).double().eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            name = gguf_name(key)
            heads = heads_of(config, name)
            values = from_neighbours(stored[name], heads) if heads else stored[name]
            parameter.copy_(torch.from_numpy(values.copy()))
        if base.rope_factors is not None:
            model.model.rotary_emb.inv_freq /= torch.from_numpy(base.rope_factors)
    return model

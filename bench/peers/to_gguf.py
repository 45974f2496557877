"""Writes GGUF files for llama.cpp from the files that the other engines read: same weights, other container.

Usage: to_gguf.py base FOLDER TYPE OUTPUT         a Hugging Face folder of a Qwen2 base
       to_gguf.py adapter FOLDER TYPE OUTPUT      a PEFT LoRA folder for it
       to_gguf.py requantise GGUF TYPE OUTPUT     a GGUF file of any type
TYPE is f32, f16, bf16 or q8_0; norms and biases stay float32.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from safetensors import safe_open

ARCHITECTURE = "qwen2"
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}


def tensors_of(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """All tensors of a folder's safetensors files, as float32."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                yield name, file.get_tensor(name).float().numpy()


def add(writer: gguf.GGUFWriter, name: str, values: np.ndarray, kind: str) -> None:
    """Adds a tensor; only matrices take the type."""
    kind = kind if values.ndim > 1 else "f32"
    quantisation = gguf.GGMLQuantizationType[kind.upper()]
    writer.add_tensor(name, gguf.quantize(values, quantisation), raw_dtype=quantisation)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def layer_name(name: str) -> str:
    """`model.layers.3.self_attn.q_proj.bias` -> `blk.3.attn_q.bias`."""
    _, _, layer, *module, last = name.split(".")
    return f"blk.{layer}.{NAMES['.'.join(module)]}.{last}"


def base(source: Path, kind: str, output: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    writer = gguf.GGUFWriter(output, ARCHITECTURE)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    # Requests come as token ids, but llama.cpp wants a vocabulary.
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([f"t{token}" for token in range(config["vocab_size"])])
    writer.add_token_merges(["t 0"])
    for name, values in tensors_of(source):
        add(writer, TOP.get(name) or layer_name(name), values, kind)
    finish(writer)


def adapter(source: Path, kind: str, output: Path) -> None:
    config = json.loads((source / "adapter_config.json").read_text())
    writer = gguf.GGUFWriter(output, ARCHITECTURE)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
    for name, values in tensors_of(source):
        module, matrix, _ = name.removeprefix("base_model.model.").rsplit(".", 2)
        add(writer, f"{layer_name(module + '.weight')}.{matrix.lower()}", values, kind)
    finish(writer)


def requantise(source: Path, kind: str, output: Path) -> None:
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(output, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name != "general.architecture" and not field.name.startswith("GGUF."):
            sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub_type)
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        add(writer, tensor.name, values.reshape(tensor.shape[::-1]), kind)
    finish(writer)


def main() -> None:
    what, source, kind, output = sys.argv[1:]
    {"base": base, "adapter": adapter, "requantise": requantise}[what](Path(source), kind, Path(output))


if __name__ == "__main__":
    main()

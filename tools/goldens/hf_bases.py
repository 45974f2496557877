"""Small random bases as Hugging Face folders: one per option that the engine must get right.

Sizes are odd on purpose (width 48 or 80, MLP 100, vocabulary 300): no dimension is a multiple of a vector register.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from files import edit_json, fresh_folder
from randomness import base_tensor

COMMON: dict[str, Any] = dict(
    hidden_size=48,
    intermediate_size=100,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=300,
    max_position_embeddings=512,
    rms_norm_eps=1e-5,
    tie_word_embeddings=True,
    bos_token_id=0,
    eos_token_id=3,
)


@dataclass(frozen=True)
class HfBase:
    """A base to write: transformers' model type and what differs from COMMON."""

    name: str
    model_type: str
    options: dict[str, Any]
    dtype: torch.dtype = torch.float32
    max_shard_size: str = "1GB"
    #: Written as `rope_theta` and `rope_scaling`, the form of nearly all published folders.
    legacy_rope: bool = False


def rope(rope_type: str, **options: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": rope_type, "rope_theta": 10000.0, **options}}


LLAMA3 = rope(
    "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64
)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=128)


def hf_bases(tokenizer_size: int) -> list[HfBase]:
    """All bases of this kind; `llama` and `qwen3` have the tiny tokenizer's vocabulary."""
    qwen3 = dict(head_dim=16, rms_norm_eps=1e-6, num_hidden_layers=3)
    return [
        HfBase("llama", "llama", dict(num_hidden_layers=4, vocab_size=tokenizer_size)),
        HfBase(
            "llama-bias",
            "llama",
            dict(
                attention_bias=True,
                mlp_bias=True,
                tie_word_embeddings=False,
                num_hidden_layers=3,
                num_attention_heads=3,
                num_key_value_heads=1,
            ),
        ),
        HfBase("llama3-rope", "llama", dict(head_dim=16, **LLAMA3), legacy_rope=True),
        HfBase("linear-rope", "llama", rope("linear", factor=2.5), legacy_rope=True),
        HfBase("yarn", "llama", dict(head_dim=16, **YARN)),
        HfBase("qwen2", "qwen2", dict(hidden_size=80, num_attention_heads=5, num_key_value_heads=1, rms_norm_eps=1e-6)),
        HfBase("qwen2-window", "qwen2", dict(use_sliding_window=True, sliding_window=9, max_window_layers=1)),
        HfBase("qwen3", "qwen3", dict(vocab_size=tokenizer_size, **qwen3), legacy_rope=True),
        HfBase("mistral", "mistral", dict(sliding_window=16), legacy_rope=True),
        HfBase("llama-sharded", "llama", dict(tie_word_embeddings=False), max_shard_size="150KB"),
        HfBase("llama-bf16", "llama", {}, dtype=torch.bfloat16),
        HfBase("llama-f16", "llama", {}, dtype=torch.float16),
    ]


def random_model(name: str, model_type: str, options: dict[str, Any]) -> torch.nn.Module:
    """A float32 causal language model with this project's random weights."""
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**COMMON, **options}))
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(base_tensor(name, key, tuple(parameter.shape))))
    return model


def write_hf_base(base: HfBase, bases_folder: Path) -> Path:
    """Writes bases/<name> and gives its path."""
    folder = fresh_folder(bases_folder / base.name)
    model = random_model(base.name, base.model_type, base.options).to(base.dtype)
    model.save_pretrained(folder, max_shard_size=base.max_shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    edit_json(folder / "config.json", use_legacy_rope if base.legacy_rope else lambda config: None)
    return folder


def use_legacy_rope(config: dict[str, Any]) -> None:
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    rope_type = parameters.pop("rope_type")
    if rope_type == "linear":
        config["rope_scaling"] = {"type": "linear", **parameters}
    elif rope_type != "default":
        config["rope_scaling"] = {"rope_type": rope_type, **parameters}
    else:
        config["rope_scaling"] = None
    config["torch_dtype"] = config.pop("dtype")

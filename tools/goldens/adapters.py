"""LoRA adapters saved by PEFT, with random B so that they matter, and adapters that a reader must refuse."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from files import edit_json, fresh_folder
from randomness import normal

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LINEAR = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Adapter:
    """An adapter to write: the base's folder name and PEFT's options."""

    name: str
    options: dict[str, Any]
    base: str = "llama"
    #: Options put into adapter_config.json after saving.
    config_edits: dict[str, Any] | None = None
    refused: bool = False

    @property
    def has_head(self) -> bool:
        return self.options.get("task_type") == "SEQ_CLS"

    @property
    def invocation_tokens(self) -> list[int]:
        return self.options.get("alora_invocation_tokens", [])


def lora(rank: int, targets: list[str] | str, alpha: int | None = None, **more: Any) -> dict[str, Any]:
    return dict(r=rank, lora_alpha=alpha or 2 * rank, target_modules=targets, **more)


def alora(tokens: list[int], rank: int = 8) -> dict[str, Any]:
    return lora(rank, ATTENTION, alora_invocation_tokens=tokens)


ADAPTERS = [
    Adapter("qv", lora(8, ["q_proj", "v_proj"])),
    Adapter("all-linear", lora(16, "all-linear", alpha=8)),
    Adapter(
        "patterns",
        lora(
            4,
            ["q_proj", "v_proj", "o_proj", "up_proj"],
            rank_pattern={"v_proj": 7, r"layers\.1\.self_attn\.q_proj": 2},
            alpha_pattern={"o_proj": 3, r"layers\.[23]\.mlp\.up_proj": 20},
        ),
    ),
    Adapter("rslora", lora(6, ["q_proj", "k_proj", "down_proj"], use_rslora=True)),
    Adapter("top2", lora(8, LINEAR, layers_to_transform=[2, 3])),
    Adapter("top2-narrow", lora(5, ["v_proj", "down_proj"], layers_to_transform=[2, 3])),
    Adapter("top1", lora(4, ["o_proj", "gate_proj"], layers_to_transform=[3])),
    Adapter("score-head", lora(8, ["q_proj", "v_proj"], task_type="SEQ_CLS")),
    Adapter("alora-a", alora([5])),
    Adapter("alora-b", alora([6, 7, 8])),
    Adapter("alora-c", alora([9, 9, 10, 11], rank=3)),
    Adapter("task-a", lora(4, LINEAR)),
    Adapter("task-b", lora(6, ["q_proj", "v_proj", "o_proj", "down_proj"])),
    Adapter("rank3", lora(3, r".*\.self_attn\.(q|k)_proj", alpha=5)),
    Adapter("rank5", lora(5, ["k_proj", "o_proj", "gate_proj"])),
    Adapter("rank1", lora(1, ["v_proj"], alpha=1)),
    Adapter("bias-base", lora(4, LINEAR), base="llama-bias"),
    Adapter("qwen3-all", lora(8, LINEAR), base="qwen3"),
    Adapter("qwen3-alora", alora([12, 13]), base="qwen3"),
    Adapter("gguf-all", lora(4, LINEAR), base="gguf-q8_0"),
    Adapter("refused-dora", lora(4, ["q_proj", "v_proj"], use_dora=True), refused=True),
    Adapter("refused-bias", lora(4, ["q_proj", "v_proj"], bias="all"), base="llama-bias", refused=True),
    Adapter(
        "refused-pissa", lora(4, ["q_proj", "v_proj"]), config_edits={"init_lora_weights": "pissa"}, refused=True
    ),
    Adapter("refused-embedding", lora(4, ["q_proj", "embed_tokens"]), refused=True),
]


def write_adapter(adapter: Adapter, base: torch.nn.Module, adapters_folder: Path) -> Path:
    """Writes adapters/<name> for a base model (which it wraps) and gives its path."""
    folder = fresh_folder(adapters_folder / adapter.name)
    base.name_or_path = base.config.name_or_path = adapter.base
    options = {"task_type": "CAUSAL_LM", **adapter.options}
    model = get_peft_model(base, LoraConfig(**options)).float()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(random_parameter(adapter, model, key, tuple(parameter.shape)))
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    edit_json(folder / "adapter_config.json", lambda config: tidy_config(config, adapter.config_edits or {}))
    return folder


def random_parameter(adapter: Adapter, model: torch.nn.Module, key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A and the head keep the size of their input; B makes the change of a layer's output about 0.3."""
    std = shape[-1] ** -0.5
    if ".lora_B." in key:
        layer = model.get_submodule(key.split(".lora_B.")[0])
        std = 0.3 / (layer.scaling["default"] * shape[-1] ** 0.5)
    if ".lora_embedding_" in key:
        std = 0.1
    return torch.from_numpy(normal(f"adapter/{adapter.name}/{key}", shape, std))


def tidy_config(config: dict[str, Any], edits: dict[str, Any]) -> None:
    if isinstance(config["target_modules"], list):
        config["target_modules"] = sorted(config["target_modules"])
    config.update(edits)


def model_for(adapter: Adapter, folder: Path) -> torch.nn.Module:
    """The base as the adapter's task wants it, loaded from a Hugging Face folder."""
    if adapter.has_head:
        return AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

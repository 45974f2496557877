"""What transformers and PEFT say: pooled embeddings of sequences, in float64."""

import copy
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def load_base(folder: Path) -> torch.nn.Module:
    """A Hugging Face folder as a float64 causal language model."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()


def with_adapters(base: torch.nn.Module, task: Path | None, expert: Path | None, readout: bool) -> torch.nn.Module:
    """A copy of the base with a task adapter and an expert, either may be absent.

    With two ordinary adapters both are active, PEFT adds their deltas. An activated LoRA must not limit the task
    adapter to its tokens: there the task adapter is merged into the base's weights first.
    """
    model = copy.deepcopy(base)
    if task and (readout or not expert):
        model, task = PeftModel.from_pretrained(model, task).double().merge_and_unload(), None
    if not expert:
        return model.eval()
    wrapped = PeftModel.from_pretrained(model, expert, adapter_name="expert").double()
    if task:
        wrapped.load_adapter(task, adapter_name="task")
        wrapped.double().base_model.set_adapter(["task", "expert"])
    return wrapped.eval()


def embedding(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    """Hidden state after the final norm at the last token, float64 [d]."""
    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    seen: list[torch.Tensor] = []
    hook = causal.model.norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        with torch.no_grad():
            model(input_ids=torch.tensor([ids]), use_cache=False)
    finally:
        hook.remove()
    return seen[0][0, -1]

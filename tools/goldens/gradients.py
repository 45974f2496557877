"""Losses and their gradients by autograd in float64, written to gradients.json.

A gradient is kept as its length and its projection on sin(1), sin(2), ...: an error in any element changes both.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch
from peft import PeftModel

from cases import FULL, READOUT, Case, Expert, experts, random_head, readers, sequences, top
from files import shortest, write_records
from oracle import with_adapters

#: (first, second, target, weight)
PAIRS = [(0, 1, 1.0, 0.25), (3, 2, 1.0, 0.5), (4, 5, 0.5, 0.25), (6, 5, 1.0, 0.125), (4, 2, 0.0, 1.0)]


@dataclass(frozen=True)
class GradientCase:
    """A golden case whose adapters and heads, or whose base, are learned."""

    case: Case
    token_weight: float = 0.0

    @property
    def learns_base(self) -> bool:
        return self.case.experts == [Expert()]


CASES = [
    GradientCase(Case("gradients-bias", "llama-bias", experts("bias-base"))),
    GradientCase(Case("gradients-qwen3", "qwen3", experts("qwen3-all"))),
    GradientCase(Case("gradients-full", "llama", experts("qv", "all-linear", "rank3"))),
    GradientCase(Case("gradients-top2", "llama", experts("top2", "top2-narrow"), top(2))),
    GradientCase(Case("gradients-readout", "llama", readers("alora-a", "alora-b", "alora-c"), READOUT)),
    GradientCase(Case("gradients-base-llama", "llama-bias", experts(None)), token_weight=0.01),
    GradientCase(Case("gradients-base-qwen3", "qwen3", experts(None)), token_weight=0.02),
    GradientCase(Case("gradients-base-mistral", "mistral", experts(None))),
]


def final_states(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    """Hidden states after the final norm, [T, d], with their graph."""
    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    seen: list[torch.Tensor] = []
    hook = causal.model.norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        model(input_ids=torch.tensor([ids]), use_cache=False)
    finally:
        hook.remove()
    return seen[0][0]


def parameter_name(name: str, expert: int) -> str:
    """Our name of a parameter of transformers or PEFT."""
    if "lora_" not in name:
        return name.removeprefix("model.")
    inner = name.removeprefix("base_model.model.model.").replace(".expert.weight", "")
    return f"experts.{expert}.{inner}"


def summary(gradient: torch.Tensor) -> list[float]:
    flat = gradient.flatten().numpy()
    return [float(np.linalg.norm(flat)), float(flat @ np.sin(np.arange(1, len(flat) + 1)))]


def run(golden: GradientCase, base: torch.nn.Module, adapters: Path) -> dict[str, Any]:
    case = golden.case
    prompts, candidates = sequences(case, base.config.vocab_size)
    gradients: dict[str, list[float]] = {}
    losses, heads = [], []
    for index, expert in enumerate(case.experts):
        model = with_adapters(base, None, adapters / expert.adapter if expert.adapter else None, case.plan == READOUT)
        learned = {
            name: parameter
            for name, parameter in model.named_parameters()
            if ("lora_" in name) != golden.learns_base and not name.startswith("lm_head")
        }
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for parameter in learned.values():
            parameter.requires_grad_(True)
        numbers, offset = random_head(case, index, base.config.hidden_size)
        weight = torch.tensor(numbers.astype(np.float32), dtype=torch.float64, requires_grad=True)
        bias = torch.tensor(np.float32(offset), dtype=torch.float64, requires_grad=True)
        scores, token_loss = [], torch.tensor(0.0, dtype=torch.float64)
        for candidate in candidates:
            start = len(prompts[candidate["prompt"]])
            ids = prompts[candidate["prompt"]] + candidate["tokens"]
            states = final_states(model, ids + expert.tokens)
            scores.append(states[-1] @ weight + bias)
            if golden.token_weight:
                table = model.model.embed_tokens.weight
                logits = states[start : len(ids) - 1] @ table.T
                target = torch.tensor(ids[start + 1 :], dtype=torch.long)
                token_loss = token_loss + golden.token_weight * torch.nn.functional.cross_entropy(
                    logits, target, reduction="sum"
                )
        pair_loss = torch.tensor(0.0, dtype=torch.float64)
        for first, second, target, share in PAIRS:
            margin = scores[first] - scores[second]
            pair_loss = pair_loss + share * (torch.nn.functional.softplus(margin) - target * margin)
        (pair_loss + token_loss).backward()
        for name, parameter in learned.items():
            gradients[parameter_name(name, index)] = summary(parameter.grad)
        gradients[f"experts.{index}.head.weight"] = summary(weight.grad)
        gradients[f"experts.{index}.head.bias"] = summary(bias.grad)
        losses.append({"pair": pair_loss.item(), "token": token_loss.item()})
        heads.append((numbers, offset))
    return {
        "name": case.name,
        "base": case.base,
        "plan": case.plan,
        "learns_base": golden.learns_base,
        "experts": [
            {
                "adapter": expert.adapter,
                "invocation_tokens": expert.tokens,
                "head": {"weight": shortest(numbers), "bias": shortest(np.array([offset]))[0]},
            }
            for expert, (numbers, offset) in zip(case.experts, heads)
        ],
        "prompts": prompts,
        "candidates": candidates,
        "pairs": [
            {"first": first, "second": second, "target": target, "weight": weight}
            for first, second, target, weight in PAIRS
        ],
        "token_weight": golden.token_weight,
        "losses": losses,
        "gradients": gradients,
    }


def write_gradients(load: Callable[[str], torch.nn.Module], goldens: Path) -> None:
    """Runs all cases; `load` gives a base's float64 model by name."""
    write_records(goldens / "gradients.json", [run(one, load(one.case.base), goldens / "adapters") for one in CASES])

"""Greedy continuations and their log-probabilities in float64, written to generation.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import torch

from files import write_records
from oracle import with_adapters
from randomness import tokens

#: Lengths of prompts, and of their continuations.
PROMPTS = [1, 11, 40]
LENGTH = 24
#: Nearest that the two likeliest tokens may come: float32 must not choose another.
CLOSEST = 1e-4


@dataclass(frozen=True)
class GenerationCase:
    name: str
    base: str
    task_adapter: str | None = None


CASES = [
    GenerationCase("generation-llama", "llama"),
    GenerationCase("generation-adapter", "llama", "task-a"),
    GenerationCase("generation-own-head", "llama-bias"),
    GenerationCase("generation-window", "qwen2-window"),
    GenerationCase("generation-mistral", "mistral"),
    GenerationCase("generation-qwen3", "qwen3"),
    GenerationCase("generation-gguf-own-head", "gguf-f16"),
]


def continuation(model: torch.nn.Module, prompt: list[int]) -> tuple[list[int], list[float]]:
    """The likeliest token after another, each from a run over the whole sequence."""
    ids, log_probs = list(prompt), []
    for _ in range(LENGTH):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].double()
        first, second = logits.topk(2).values.tolist()
        if first - second < CLOSEST:
            raise SystemExit(f"the two likeliest tokens are {first - second} apart: choose another prompt")
        token = int(logits.argmax())
        log_probs.append(float(torch.log_softmax(logits, -1)[token]))
        ids.append(token)
    return ids[len(prompt) :], log_probs


def run(case: GenerationCase, base: torch.nn.Module, adapters: Path) -> dict[str, Any]:
    model = with_adapters(base, adapters / case.task_adapter if case.task_adapter else None, None, False)
    prompts = [tokens(f"{case.name} {length}", length, model.config.vocab_size) for length in PROMPTS]
    continued = [continuation(model, prompt) for prompt in prompts]
    return {
        "name": case.name,
        "base": case.base,
        "task_adapter": case.task_adapter,
        "prompts": prompts,
        "completions": [ids for ids, _ in continued],
        "log_probs": [values for _, values in continued],
    }


def write_generation(load: Callable[[str], torch.nn.Module], goldens: Path) -> None:
    """Runs all cases; `load` gives a base's float64 model by name."""
    write_records(goldens / "generation.json", [run(case, load(case.base), goldens / "adapters") for case in CASES])

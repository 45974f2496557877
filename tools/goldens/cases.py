"""The list of golden cases: which base, plan, adapters and token sequences are compared."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters import ADAPTERS
from randomness import normal, tokens

FULL = {"type": "full"}
READOUT = {"type": "readout"}

#: Lengths of prompts, and (prompt, length) of candidates: sequences of 2 to 70 tokens, several per prompt.
PROMPTS = [1, 17, 40]
CANDIDATES = [(0, 1), (0, 9), (1, 16), (1, 1), (2, 30), (2, 3), (2, 30)]
#: Sequences that cross the edges of larger blocks.
LONG_PROMPTS = [257]
LONG_CANDIDATES = [(0, 131), (0, 64)]


@dataclass(frozen=True)
class Expert:
    """An expert of a case; `tokens` are appended to each candidate (readout only)."""

    adapter: str | None = None
    tokens: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    name: str
    base: str
    experts: list[Expert]
    plan: dict[str, Any] = field(default_factory=lambda: FULL)
    task_adapter: str | None = None
    long: bool = False


def top(layers: int) -> dict[str, Any]:
    return {"type": "top_layers", "layers": layers}


def experts(*names: str | None) -> list[Expert]:
    return [Expert(name) for name in names]


def readers(*names: str) -> list[Expert]:
    """Activated experts, each with the invocation tokens it was made for."""
    known = {adapter.name: adapter for adapter in ADAPTERS}
    return [Expert(name, known[name].invocation_tokens) for name in names]


PROMPTED = [Expert(None, [12]), Expert(None, [13, 14]), Expert(None, [15, 16, 17, 12, 18])]


def cases(bases: list[str]) -> list[Case]:
    """Every base alone, every adapter alone, then the plans with several experts."""
    alone = [Case(f"base-{base}", base, experts(None)) for base in bases]
    for adapter in ADAPTERS:
        name = f"adapter-{adapter.name}"
        if adapter.invocation_tokens:
            alone.append(Case(name, adapter.base, readers(adapter.name), READOUT))
        elif not adapter.refused:
            alone.append(Case(name, adapter.base, experts(adapter.name)))
    return alone + PLANS


PLANS = [
    Case("long-llama", "llama", experts("all-linear", None), long=True),
    Case("long-mistral", "mistral", experts(None), long=True),
    Case("long-readout", "llama", readers("alora-a", "alora-c"), READOUT, "task-b", long=True),
    Case("full-mixed", "llama", experts("qv", "all-linear", "rank3")),
    Case("full-mixed-with-base", "llama", experts("patterns", None, "rslora", "rank1")),
    Case("full-same-twice", "llama", experts("rank5", "rank5")),
    Case("full-top-adapters", "llama", experts("top2", "top1")),
    Case("top2", "llama", experts("top2", "top2-narrow", "top1"), top(2)),
    Case("top3-with-base", "llama", experts("top2", None), top(3)),
    Case("top-all", "llama", experts("qv", "all-linear", "rank5"), top(4)),
    Case("readout", "llama", readers("alora-a", "alora-b", "alora-c"), READOUT),
    Case("readout-prompted", "llama", PROMPTED, READOUT),
    Case("readout-mixed", "llama", [*readers("alora-c"), *PROMPTED, *readers("alora-a")], READOUT),
    Case("readout-prompted-gguf", "gguf-q8_0", PROMPTED, READOUT),
    Case("readout-prompted-mistral", "mistral", PROMPTED, READOUT),
    Case("task-only", "llama", experts(None), task_adapter="task-a"),
    Case("task-full", "llama", experts("qv", "rank3", None), task_adapter="task-a"),
    Case("task-full-same-targets", "llama", experts("all-linear", "task-a"), task_adapter="task-b"),
    Case("task-top2", "llama", experts("top2", "top2-narrow", None), top(2), "task-b"),
    Case("task-readout", "llama", readers("alora-a", "alora-b", "alora-c"), READOUT, "task-a"),
    Case("task-readout-prompted", "llama", PROMPTED, READOUT, "task-b"),
]


def sequences(case: Case, vocabulary: int) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """The case's prompts and candidates."""
    prompt_lengths = LONG_PROMPTS if case.long else PROMPTS
    candidate_lengths = LONG_CANDIDATES if case.long else CANDIDATES
    prompts = [tokens(f"{case.name}/prompt/{i}", length, vocabulary) for i, length in enumerate(prompt_lengths)]
    candidates = [
        {"prompt": prompt, "tokens": tokens(f"{case.name}/candidate/{i}", length, vocabulary)}
        for i, (prompt, length) in enumerate(candidate_lengths)
    ]
    return prompts, candidates


def random_head(case: Case, index: int, width: int) -> tuple[np.ndarray, float]:
    """A value head: weight [d] and bias."""
    seed = f"{case.name}/head/{index}"
    return normal(f"{seed}/weight", (width,), width**-0.5), float(normal(f"{seed}/bias", (1,), 0.5)[0])

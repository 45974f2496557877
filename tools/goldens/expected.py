"""Runs the cases through the oracle and writes cases.json and one safetensors file a case."""

from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from adapters import ADAPTERS
from cases import Case, random_head, sequences
from files import fresh_folder, shortest, write_records
from oracle import embedding, with_adapters

HEAD_KEY = "base_model.model.score.weight"


def saved_head(adapter: str | None, adapters: Path) -> np.ndarray | None:
    """The value head [d] that was saved with an adapter, if any."""
    if not any(known.name == adapter and known.has_head for known in ADAPTERS):
        return None
    return load_file(adapters / adapter / "adapter_model.safetensors")[HEAD_KEY][0]


def run_case(case: Case, base: torch.nn.Module, goldens: Path) -> dict[str, Any]:
    """Writes cases/<name>.safetensors and gives the case's record."""
    adapters = goldens / "adapters"
    prompts, candidates = sequences(case, base.config.vocab_size)
    rows: list[list[torch.Tensor]] = [[] for _ in candidates]
    heads: list[tuple[np.ndarray, float]] = []
    for index, expert in enumerate(case.experts):
        model = with_adapters(
            base,
            adapters / case.task_adapter if case.task_adapter else None,
            adapters / expert.adapter if expert.adapter else None,
            readout=case.plan["type"] == "readout",
        )
        for row, candidate in zip(rows, candidates):
            row.append(embedding(model, prompts[candidate["prompt"]] + candidate["tokens"] + expert.tokens))
        weight = saved_head(expert.adapter, adapters)
        heads.append(random_head(case, index, base.config.hidden_size) if weight is None else (weight, 0.0))
    embeddings = torch.stack([torch.stack(row) for row in rows]).numpy()  # [N, K, d], float64
    weights = np.stack([weight for weight, _ in heads]).astype(np.float64)
    scores = (embeddings * weights).sum(axis=2) + np.array([bias for _, bias in heads])
    assert np.isfinite(embeddings).all() and embeddings.std() > 0.1, case.name
    file = f"cases/{case.name}.safetensors"
    save_file({"embeddings": embeddings.astype(np.float32), "scores": scores.astype(np.float32)}, goldens / file)
    return {
        "name": case.name,
        "base": case.base,
        "plan": case.plan,
        "task_adapter": case.task_adapter,
        "experts": [
            {
                "adapter": expert.adapter,
                "invocation_tokens": expert.tokens,
                "head": {"weight": shortest(weight), "bias": shortest(np.array([bias]))[0]},
            }
            for expert, (weight, bias) in zip(case.experts, heads)
        ],
        "prompts": prompts,
        "candidates": candidates,
        "expected": file,
    }


def write_cases(cases: list[Case], load: Callable[[str], torch.nn.Module], goldens: Path) -> None:
    """Runs all cases; `load` gives a base's float64 model by name."""
    fresh_folder(goldens / "cases")
    write_records(goldens / "cases.json", [run_case(case, load(case.base), goldens) for case in cases])

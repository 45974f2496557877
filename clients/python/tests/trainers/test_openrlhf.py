"""OpenRLHF: the executor that loads a reward file, asks it for one query at a time, and logs what it raises."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openrlhf
import pytest
import torch
from openrlhf.utils.agent import SingleTurnAgentExecutor, logger
from transformers import AutoTokenizer

import dmoerm.adapters.openrlhf
import quick_starts
from conftest import ROOT, Mesh
from contract import CHAT, RESPONSES, Contract
from dmoerm import Item

TOKENIZER = AutoTokenizer.from_pretrained(ROOT / "bundles" / "default" / "base")
RENDERED = TOKENIZER.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)


class _Engine:
    """Stands for vLLM, which needs a GPU: it has generated the given text."""

    def __init__(self, text: str) -> None:
        self._output = SimpleNamespace(
            token_ids=TOKENIZER(text, add_special_tokens=False)["input_ids"], text=text, finish_reason="stop", logprobs=None
        )

    async def generate(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(outputs=[self._output])


def _rollouts(target: str, responses: list[str], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setenv("DMOERM_TARGET", target)
    return _execute([str(Path(dmoerm.adapters.openrlhf.__file__))], responses)


def _execute(endpoints: list[str], responses: list[str]) -> list[dict[str, Any]]:
    executor = SingleTurnAgentExecutor(endpoints)
    sampling = SimpleNamespace(max_tokens=64, logprobs=None)

    async def step() -> list[dict[str, Any]]:
        calls = (executor.execute(RENDERED, "", sampling, 512, TOKENIZER, _Engine(one)) for one in responses)
        return list(await asyncio.gather(*calls))

    return asyncio.run(step())


class TestOpenRlhf(Contract):
    @pytest.fixture(autouse=True)
    def _log(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.environment = monkeypatch

    def ask(self, target: str, responses: list[str]) -> list[float]:
        rollouts = _rollouts(target, responses, self.environment)
        for one in rollouts:
            assert len(one["reward"]) == len(one["scores"]) == 1 and 0 < one["scores"][0] < 1
            assert all(torch.tensor([value]).isfinite().all() for value in one["extra_logs"].values())  # as it makes its tensors
        return [one["reward"][0] for one in rollouts]

    def refusal(self, target: str, responses: list[str]) -> str:
        said: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
        logger.addHandler(handler)
        try:
            rollouts = _rollouts(target, responses, self.environment)
        finally:
            logger.removeHandler(handler)
        lost = [one for one in rollouts if one["reward"] is None]
        # None, and never a number: OpenRLHF then asks its own reward model, or stops for want of one.
        assert lost and all(one["scores"] is None and one["extra_logs"] == {} for one in lost)
        return "\n".join(said)

    def item(self, response: str) -> Item:
        return Item.from_text(RENDERED, response)


def test_a_prompt_of_which_only_the_end_is_left(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMOERM_TARGET", mesh.target)
    executor = SingleTurnAgentExecutor([str(Path(dmoerm.adapters.openrlhf.__file__))])
    sampling = SimpleNamespace(max_tokens=8, logprobs=None)
    output = asyncio.run(executor.execute(RENDERED * 4, "", sampling, 24, TOKENIZER, _Engine("They erode.")))
    assert len(output["observation_tokens"]) < 24 + 8 and output["reward"] is not None


@pytest.mark.parametrize("count", [1, 2])
def test_over_http_it_learns_the_same(mesh: Mesh, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    expected = _rollouts(mesh.target, RESPONSES, monkeypatch)
    rollouts = _execute([f"{mesh.http}/get_reward"] * count, RESPONSES)
    assert [one["reward"] for one in rollouts] == [one["reward"] for one in expected]
    assert [one["scores"] for one in rollouts] == [pytest.approx(one["scores"]) for one in expected]
    (lost,) = _execute([f"{mesh.http}/get_reward"] * count, [""])
    assert lost["reward"] is None and lost["scores"] is None


def test_the_quick_start_names_options_that_are_there() -> None:
    source = Path(str(openrlhf.__path__[0]), "cli", "train_ppo_ray.py").read_text()
    names = quick_starts.flags("openrlhf")
    assert "reward.remote_url" in names
    assert [one for one in names if f'"--{one}"' not in source] == []

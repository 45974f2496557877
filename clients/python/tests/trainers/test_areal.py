"""AReaL: its RLVR workflow, and its wrapper, which calls the function in a pool of processes and turns timeouts into 0."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

import pytest
from areal.api import AsyncRewardWrapper, ModelResponse
from areal.api.cli_args import GenerationHyperparameters
from areal.workflow.rlvr import RLVRWorkflow
from transformers import AutoTokenizer

import quick_starts
from conftest import ROOT, FaultServer
from contract import CHAT, PROMPT, Contract
from dmoerm import RewardError
from dmoerm.adapters import areal

TOKENIZER = AutoTokenizer.from_pretrained(ROOT / "bundles" / "default" / "base")


class TestArealPool(Contract):
    """As AReaL wraps a function."""

    @pytest.fixture(autouse=True)
    def _pool(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        # This process has a gRPC server at work, which AReaL's has not: its children are not forked here.
        before = multiprocessing.get_start_method(allow_none=True)
        multiprocessing.set_start_method("spawn", force=True)
        self.environment = monkeypatch
        yield
        for executor in AsyncRewardWrapper._executors.values():
            executor.shutdown(cancel_futures=True)
        AsyncRewardWrapper._executors.clear()
        multiprocessing.set_start_method(before, force=True)

    def ask(self, target: str, responses: list[str]) -> list[float]:
        self.environment.setenv("DMOERM_TARGET", target)

        async def step() -> list[float]:
            # A process here takes seconds to start, which AReaL counts as well.
            wrapper = AsyncRewardWrapper(areal.reward_fn, timeout_seconds=60, max_workers=1, max_retries=0)
            return list(await asyncio.gather(*(wrapper(PROMPT, one, [1], [2], messages=CHAT, answer="") for one in responses)))

        return asyncio.run(step())

    def test_it_fails_before_areal_gives_up_and_says_0(self, faulty: FaultServer) -> None:
        own = AsyncRewardWrapper(areal.reward_fn, max_workers=1).timeout_seconds
        self.environment.setenv("DMOERM_TARGET", faulty.target)
        faulty.answer = lambda *_: time.sleep(8)
        start = time.monotonic()
        with pytest.raises(RewardError, match="DEADLINE_EXCEEDED"):
            areal.reward_fn(PROMPT, "x", [], [], messages=CHAT)
        assert time.monotonic() - start < own / 2


class TestArealWorkflow(Contract):
    """As docs/trainers/areal.md says: the workflow's own call of its reward, without the pool."""

    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.environment = monkeypatch

    def ask(self, target: str, responses: list[str]) -> list[float]:
        self.environment.setenv("DMOERM_TARGET", target)
        workflow = quick_starts.run("areal", target)["DmoermWorkflow"](
            gconfig=GenerationHyperparameters(max_new_tokens=8), tokenizer=TOKENIZER
        )
        assert isinstance(workflow, RLVRWorkflow)

        async def step() -> list[float]:
            return list(await asyncio.gather(*(workflow._compute_rewards(_response(one), PROMPT, {"messages": CHAT}) for one in responses)))

        return asyncio.run(step())


def _response(text: str) -> Any:
    return ModelResponse(input_tokens=[1], output_tokens=TOKENIZER(text, add_special_tokens=False)["input_ids"])

"""AReaL: its wrapper, which calls the function in a pool of processes and turns timeouts into 0."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator

import pytest
from areal.api.reward_api import AsyncRewardWrapper

from conftest import FaultServer
from contract import CHAT, PROMPT, Contract
from dmoerm import RewardError
from dmoerm.adapters import areal


class TestAreal(Contract):
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
            wrapper = AsyncRewardWrapper(areal.reward_fn, max_workers=1, max_retries=0)
            return list(await asyncio.gather(*(wrapper(PROMPT, one, [1], [2], messages=CHAT, answer="") for one in responses)))

        return asyncio.run(step())

    def test_it_fails_before_areal_gives_up_and_says_0(self, faulty: FaultServer) -> None:
        assert areal.DEADLINE < AsyncRewardWrapper(areal.reward_fn, max_workers=1).timeout_seconds
        faulty.answer = lambda *_: time.sleep(30)
        with pytest.raises(RewardError, match="DEADLINE_EXCEEDED"):
            self.ask(faulty.target, ["x"])

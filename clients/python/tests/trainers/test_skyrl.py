"""SkyRL: an environment from its registry, stepped from its threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import skyrl_gym
from skyrl_gym.envs.registration import deregister

import quick_starts
from conftest import Mesh
from contract import CHAT, Contract
from dmoerm import RewardError
from dmoerm.adapters.skyrl import DmoermEnv


class TestSkyrl(Contract):
    def ask(self, target: str, responses: list[str]) -> list[float]:
        skyrl_gym.register(id="dmoerm", entry_point="dmoerm.adapters.skyrl:DmoermEnv", kwargs={"target": target})

        def episode(response: str) -> float:
            env = skyrl_gym.make("dmoerm", env_config={}, extras={"reward_spec": {}})
            prompt, _ = env.init(CHAT)
            assert prompt == CHAT
            step = env.step(response)
            assert step["done"] and step["observations"] == []
            assert env.get_metrics() == {}
            env.close()
            return step["reward"]

        try:
            with ThreadPoolExecutor(32) as pool:
                return list(pool.map(episode, responses))
        finally:
            deregister("dmoerm")


def test_it_wants_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMOERM_TARGET", raising=False)
    with pytest.raises(RewardError, match="DMOERM_TARGET"):
        DmoermEnv()


def test_the_quick_start(mesh: Mesh) -> None:
    try:
        quick_starts.run("skyrl", mesh.target)
    finally:
        deregister("dmoerm")

"""SkyRL: an environment from its registry, stepped from its threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import skyrl_gym
from skyrl_gym.envs.registration import deregister

from contract import CHAT, Contract


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


def test_it_is_an_environment_of_skyrl() -> None:
    from dmoerm.adapters.skyrl import DmoermEnv

    assert issubclass(DmoermEnv, skyrl_gym.Env)
    with pytest.raises(ValueError, match="DMOERM_TARGET"):
        DmoermEnv()

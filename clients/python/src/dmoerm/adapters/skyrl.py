"""SkyRL: a single-turn environment.

skyrl_gym.register(id="dmoerm", entry_point="dmoerm.adapters.skyrl:DmoermEnv", kwargs={"target": "router:50051"})
"""

from __future__ import annotations

from typing import Any

from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from ..items import Item
from ._shared import client, columns, target_of


class DmoermEnv(BaseTextEnv):  # type: ignore[misc]
    """One response, one reward; steps run in threads and are coalesced."""

    def __init__(self, env_config: Any = None, extras: Any = None, target: str | None = None) -> None:
        super().__init__()
        self._client = client(target_of(target))
        self._prompt: Any = None

    def init(self, prompt: Any) -> tuple[Any, dict[str, Any]]:
        """Remembers the conversation."""
        self._prompt = prompt
        return prompt, {}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Raises RewardError."""
        score = self._client.score(Item.pair(self._prompt, action))
        metadata = columns(self._client.model(), score) | {"degraded": score.degraded, "revision": score.revision}
        return BaseTextEnvStepOutput(observations=[], reward=score.reward, done=True, metadata=metadata)

"""NeMo Gym: a resources server whose ``/verify`` is a reward. A failed call is a ``JudgeError``: the row is set aside, not scored."""

from __future__ import annotations

from typing import Any

from nemo_gym.base_resources_server import BaseResourcesServerConfig, BaseVerifyRequest, BaseVerifyResponse, SimpleResourcesServer
from nemo_gym.judge import JudgeError

from ..errors import RewardError
from ..items import Item
from ._shared import async_client, numbers


class DmoermConfig(BaseResourcesServerConfig):  # type: ignore[misc]
    """``target``: the router."""

    target: str


class DmoermVerifyResponse(BaseVerifyResponse):  # type: ignore[misc]
    """The reward, and every capability under constant keys."""

    reward_components: dict[str, float]


class DmoermServer(SimpleResourcesServer):  # type: ignore[misc]
    """Scores the last message of a response."""

    config: DmoermConfig

    async def verify(self, body: BaseVerifyRequest) -> DmoermVerifyResponse:
        """Raises JudgeError."""
        rewards = async_client(self.config.target)
        try:
            score = await rewards.score(Item.pair(_prompt(body), _text(body)))
            components = numbers(await rewards.model(), score)
        except RewardError as error:
            raise JudgeError(str(error)) from error
        return DmoermVerifyResponse(**body.model_dump(), reward=score.reward, reward_components=components)


def _prompt(body: Any) -> list[dict[str, Any]]:
    turns = body.responses_create_params.input
    if isinstance(turns, str):
        return [{"role": "user", "content": turns}]
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _text(body: Any) -> str:
    parts = [part.text for output in body.response.output if output.type == "message" for part in output.content]
    return "".join(parts)


if __name__ == "__main__":
    DmoermServer.run_webserver()

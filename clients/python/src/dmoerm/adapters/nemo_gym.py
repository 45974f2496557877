"""NeMo Gym: a resources server whose ``/verify`` is a reward. A failed call is a ``JudgeError``: the row is set aside, not scored.

The ``app.py`` of a folder under ``resources_servers`` (docs/trainers/nemo_gym.md):

from dmoerm.adapters.nemo_gym import DmoermServer
DmoermServer.run_webserver()
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nemo_gym.base_resources_server import (
    BaseMultiRewardVerifyResponse,
    BaseResourcesServerConfig,
    BaseVerifyRequest,
    SimpleResourcesServer,
)
from nemo_gym.judge import JudgeError
from pydantic import ConfigDict

from ..errors import RewardError
from ..items import Item
from ._shared import async_client, numbers

_ROLES = {"developer": "system"}


class DmoermConfig(BaseResourcesServerConfig):  # type: ignore[misc]
    """``target``: the router."""

    target: str


class DmoermVerifyResponse(BaseMultiRewardVerifyResponse):  # type: ignore[misc]
    """The reward, and every capability under constant keys: in ``reward_components``, and as numbers of their own for the aggregates."""

    model_config = ConfigDict(extra="allow")


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
        return DmoermVerifyResponse(**body.model_dump(), **components, reward=score.reward, reward_components=components)


def _prompt(body: Any) -> Any:
    turns = body.responses_create_params.input
    if isinstance(turns, str):
        return turns
    return [{"role": _ROLES.get(turn.role, turn.role), "content": _parts(turn.content)} for turn in turns if turn.type == "message"]


def _parts(content: Any) -> Any:
    """Text, or the parts of the Responses API as those of a chat; what is no text is refused by name later."""
    if isinstance(content, str):
        return content
    parts = [part if isinstance(part, Mapping) else part.model_dump() for part in content]
    return [{"type": "text" if "text" in part else part.get("type"), "text": part.get("text")} for part in parts]


def _text(body: Any) -> str:
    messages = [output for output in body.response.output if output.type == "message"]
    return "".join(part.text for part in messages[-1].content if part.type == "output_text") if messages else ""

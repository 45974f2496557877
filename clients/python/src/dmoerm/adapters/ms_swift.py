"""ms-swift: ``--external_plugins plugin.py --reward_funcs dmoerm`` with ``DMOERM_TARGET=router:50051``; plugin.py says

import dmoerm.adapters.ms_swift

Not this file itself: ms-swift puts a plugin's folder first on Python's path, and the modules beside this one are named as trainers are.
Each step runs in an event loop of its own; the client keeps a channel per loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swift.rewards import AsyncORM, orms

from ..items import Item
from ._shared import async_client, target_of


class Dmoerm(AsyncORM):  # type: ignore[misc]
    """Rewards of completions; the conversation comes as the column ``messages``."""

    async def __call__(self, completions: Sequence[str], messages: Sequence[Sequence[Mapping[str, Any]]], **_: Any) -> list[float]:
        """Raises RewardError."""
        items = [Item.pair(_prompt(turns), text) for turns, text in zip(messages, completions, strict=True)]
        return [score.reward for score in await async_client(target_of(None)).score_batch(items)]


def _prompt(turns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The conversation without the response, which the rollout may have put at its end."""
    return list(turns[:-1] if turns and turns[-1]["role"] == "assistant" else turns)


orms["dmoerm"] = Dmoerm

"""AReaL: ``reward_fn`` of a workflow, with ``DMOERM_TARGET=router:50051``.

AReaL turns its own timeout (15 s a try) into a reward of 0: the deadline here is shorter, so that it sees an exception first.
"""

from __future__ import annotations

from typing import Any

from ..items import Item
from ._shared import client, target_of

DEADLINE = 12.0
"""Seconds. Raise ``timeout_seconds`` of ``AsyncRewardWrapper`` before raising this."""


def reward_fn(prompt: str, completions: str, prompt_ids: list[int], completion_ids: list[int], messages: Any = None, **_: Any) -> float:
    """The reward of one completion; ``messages`` of the row, if there are any, before the rendered prompt. Raises RewardError."""
    item = Item.pair(messages, completions) if messages else Item.from_text(prompt, completions)
    return client(target_of(None), DEADLINE).score(item).reward

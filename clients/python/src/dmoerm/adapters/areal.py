"""AReaL: ``reward_fn`` of a workflow, with ``DMOERM_TARGET=router:50051``.

AReaL runs it in a pool of processes and turns its own timeout into a reward of 0: 15 s, the waiting for a free process included, four
times. The deadline here is shorter, so that it sees an exception first; but with more calls at once than processes it may not. `reward`
has neither pool nor timeout: put it in the place of a workflow's ``async_reward_fn`` (docs/trainers/areal.md).
"""

from __future__ import annotations

from typing import Any

from ..items import Item
from ._shared import async_client, client, target_of

DEADLINE = 6.0
"""Seconds. Raise ``timeout_seconds`` of ``AsyncRewardWrapper`` before raising this."""


def reward_fn(prompt: str, completions: str, prompt_ids: list[int], completion_ids: list[int], messages: Any = None, **_: Any) -> float:
    """The reward of one completion; ``messages`` of the row, if there are any, before the rendered prompt. Raises RewardError."""
    return client(target_of(None), DEADLINE).score(_item(prompt, completions, messages)).reward


async def reward(prompt: str, completions: str, prompt_ids: list[int], completion_ids: list[int], messages: Any = None, **_: Any) -> float:
    """The same without a pool of processes. Raises RewardError."""
    return (await async_client(target_of(None)).score(_item(prompt, completions, messages))).reward


def _item(prompt: str, completion: str, messages: Any) -> Item:
    return Item.pair(messages, completion) if messages else Item.from_text(prompt, completion)

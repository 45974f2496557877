"""slime: ``--custom-rm-path dmoerm.adapters.slime.custom_rm``, with ``DMOERM_TARGET=router:50051``; or over HTTP, ``--rm-type remote_rm
--rm-url http://gateway/slime``."""

from __future__ import annotations

import asyncio
from typing import Any

from ..items import Item
from ._shared import async_client, target_of


async def custom_rm(args: Any, sample: Any, **_: Any) -> Any:
    """The reward of a sample, or of a list of them (``--group-rm``) their rewards; with ``--reward-key`` dicts of the reward and every
    capability. Raises RewardError."""
    if isinstance(sample, list):
        return list(await asyncio.gather(*(custom_rm(args, one) for one in sample)))
    rewards = async_client(target_of(None))
    score = await rewards.score(Item.pair(sample.prompt, sample.response))
    if not getattr(args, "reward_key", None):
        return score.reward
    return {"reward": score.reward, **{key: score.value(key) for key in (await rewards.model()).capabilities}}

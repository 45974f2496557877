"""verl: ``reward.custom_reward_function.path=pkg://dmoerm.adapters.verl`` (or this file's path) with ``name=compute_score`` and
``+reward.custom_reward_function.reward_kwargs.target=router:50051`` (older versions: without ``reward.``).

verl does not pass the prompt: it is read from ``extra_info[prompt_key]``, text or messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dmoerm.adapters._shared import async_client, numbers, target_of
from dmoerm.errors import RewardError
from dmoerm.items import Item


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    target: str | None = None,
    prompt_key: str = "question",
    **_: Any,
) -> dict[str, float]:
    """``score`` and every capability as ``cap/task/name``, the same keys in every answer. Raises RewardError."""
    if not extra_info or prompt_key not in extra_info:
        raise RewardError(
            "INVALID_ARGUMENT",
            "NO_PROMPT",
            f"the row has no extra_info[{prompt_key!r}]: name the key that holds the prompt (reward_kwargs.prompt_key)",
            f"extra_info.{prompt_key}",
        )
    rewards = async_client(target_of(target))
    score = await rewards.score(Item.pair(extra_info[prompt_key], solution_str))
    capabilities = numbers(await rewards.model(), score)
    return {"score": score.reward, "degraded": float(score.degraded), **{f"cap/{key}": one for key, one in capabilities.items()}}

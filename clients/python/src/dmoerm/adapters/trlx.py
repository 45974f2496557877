"""trlX: ``trlx.train(reward_fn=reward_fn("router:50051"), ...)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..items import Item
from ._shared import client


def reward_fn(target: str, timeout: float = 300.0) -> Callable[..., list[float]]:
    """Rewards of outputs to prompts. Raises RewardError."""

    def rewards(samples: Sequence[str], prompts: Sequence[str], outputs: Sequence[str], **_: Any) -> list[float]:
        items = [Item.pair(prompt, output) for prompt, output in zip(prompts, outputs, strict=True)]
        return [score.reward for score in client(target, timeout).score_batch(items)]

    return rewards

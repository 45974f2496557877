"""verifiers: a reward for rubrics, ``rubric.add_reward_func(reward("router:50051"))``.

The legacy rubric turns every exception into a reward of 0.0, which no reward function can prevent: failures are remembered, and
`check`, to be called after each step, raises the first of them again. The newer interface gives an errored rollout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import RewardError
from ..items import Item
from ._shared import async_client

_failures: list[RewardError] = []


def reward(target: str) -> Callable[..., Any]:
    """``async f(prompt, completion, answer, state, **kw) -> float``. Raises RewardError."""

    async def dmoerm(prompt: Any, completion: Any, **_: Any) -> float:
        try:
            return float((await async_client(target).score(Item.from_trl(prompt, completion))).reward)
        except RewardError as error:
            _failures.append(error)
            raise

    return dmoerm


def check() -> None:
    """Raises the first failure since the last check: what the legacy rubric has counted as 0.0."""
    if _failures:
        error = _failures[0]
        _failures.clear()
        raise error

"""verifiers: `reward` is a function for a task's rewards, with ``DMOERM_TARGET=router:50051``.

TaskConfig(rewards={"dmoerm": {"fn": "dmoerm.adapters.verifiers:reward"}})      # or --env.taskset.task.rewards.dmoerm.fn

A failure becomes a ``TaskError`` of the rollout, whose reward stays ``None``. The rubrics of versions before 0.4 turn every exception into
a reward of 0.0, which no reward function can prevent: `legacy` remembers failures, and `check`, to be called after each step, raises the
first of them again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import RewardError
from ..items import Item
from ._shared import async_client, target_of

_failures: list[RewardError] = []


async def reward(trace: Any) -> float:
    """The reward of the last reply of a rollout, after the messages before it. Raises RewardError."""
    turns = [(one.role, _text(one.content)) for one in trace.messages]
    while turns and turns[-1][0] != "assistant":  # what the environment said last
        turns.pop()
    reply = turns.pop()[1] if turns else ""
    prompt = [{"role": role, "content": text} for role, text in turns]
    return (await async_client(target_of(None)).score(Item.pair(prompt, reply))).reward


def legacy(target: str) -> Callable[..., Any]:
    """``rubric.add_reward_func(legacy("router:50051"))``, for versions before 0.4. Raises RewardError, see `check`."""

    async def dmoerm(prompt: Any, completion: Any, **_: Any) -> float:
        try:
            return float((await async_client(target).score(Item.from_trl(prompt, completion))).reward)
        except RewardError as error:
            _failures.append(error)
            raise

    return dmoerm


def check() -> None:
    """Raises the first failure since the last check: what a rubric has counted as 0.0."""
    if _failures:
        error = _failures[0]
        _failures.clear()
        raise error


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content if part.type == "text")

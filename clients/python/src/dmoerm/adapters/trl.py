"""TRL: GRPO, RLOO and async GRPO.

GRPOTrainer(reward_funcs=reward("router:50051"), ...)
GRPOTrainer(reward_funcs=rewards("router:50051", ["chat/helpfulness", "chat/coherence"]), ...)   # a column each, one call
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..items import Conversation, Item
from ..outcome import OnError
from ..results import Score
from ._shared import async_client


def reward(target: str, *, capability: str | None = None, timeout: float = 300.0, on_error: OnError = "raise", **options: Any) -> Any:
    """A reward function: the reward, or one capability's score. ``options`` as in `dmoerm.Options`.

    A partial of a coroutine function: TRL finds those, and they pickle.
    """
    return functools.partial(dmoerm_reward, target=target, capability=capability, timeout=timeout, on_error=on_error, options=options)


def rewards(target: str, capabilities: Sequence[str], **settings: Any) -> list[Callable[..., Any]]:
    """A reward function per capability, ``task/name``: several columns (GDPO), of one call together."""
    return [reward(target, capability=name, **settings) for name in capabilities]


async def dmoerm_reward(
    prompts: Sequence[Conversation],
    completions: Sequence[Conversation],
    *,
    target: str,
    capability: str | None,
    timeout: float,
    on_error: OnError,
    options: dict[str, Any],
    log_metric: Callable[[str, float], None] | None = None,
    **_: Any,
) -> list[float | None]:
    """What TRL awaits."""
    scores = await _together(prompts, completions, target, timeout, on_error, options)
    if log_metric is not None and capability is None:
        known = [score for score in scores if score is not None]
        log_metric("dmoerm/degraded", sum(score.degraded for score in known) / max(1, len(known)))
        log_metric("dmoerm/uncertainty", sum(score.uncertainty for score in known) / max(1, len(known)))
    return [None if score is None else score.value(capability) for score in scores]


# Columns of one batch are asked for at the same time: the first asks, the others wait for its answer.
_running: dict[Any, asyncio.Future[Any]] = {}


async def _together(
    prompts: Sequence[Conversation],
    completions: Sequence[Conversation],
    target: str,
    timeout: float,
    on_error: OnError,
    options: dict[str, Any],
) -> list[Score | None]:
    key = (id(asyncio.get_running_loop()), id(prompts), id(completions), target, on_error, repr(options))
    if key not in _running:
        items = [Item.from_trl(prompt, one, **options) for prompt, one in zip(prompts, completions, strict=True)]
        asking = asyncio.ensure_future(async_client(target).score_batch(items, timeout=timeout, on_error=on_error))
        _running[key] = asking
        asking.add_done_callback(lambda _: _running.pop(key, None))
    answer: list[Score | None] = await asyncio.shield(_running[key])
    return answer

"""What the adapters have in common."""

from __future__ import annotations

import math
import os
from functools import cache

from ..aio import AsyncRewardClient
from ..client import RewardClient
from ..errors import RewardError
from ..results import Model, Score


def target_of(target: str | None) -> str:
    """The router: what was given, or ``DMOERM_TARGET``."""
    found = target or os.environ.get("DMOERM_TARGET")
    if not found:
        raise RewardError("INVALID_ARGUMENT", "NO_TARGET", "name the router: target='host:port', or DMOERM_TARGET", "target")
    return found


@cache
def client(target: str, timeout: float = 300.0) -> RewardClient:
    """One client per process, router and timeout; what forks gets channels of its own."""
    return RewardClient(target, timeout=timeout)


@cache
def async_client(target: str, timeout: float = 300.0) -> AsyncRewardClient:
    """The same for event loops."""
    return AsyncRewardClient(target, timeout=timeout)


def columns(model: Model, score: Score, filler: float = math.nan) -> dict[str, float]:
    """Every capability of the model as ``task/name``: the same keys in the same order for every score.

    The capabilities of other tasks have the filler.
    """
    return {key: filler if math.isnan(value := score.value(key)) else value for key in model.capabilities}


def numbers(model: Model, score: Score) -> dict[str, float]:
    """The same where NaN is not allowed: 0, and ``scored/task/name`` says whether it counts."""
    own = columns(model, score)
    scored = {f"scored/{key}": float(not math.isnan(value)) for key, value in own.items()}
    return {key: 0.0 if math.isnan(value) else value for key, value in own.items()} | scored


def squash(reward: float) -> float:
    """A reward in 0..1 (logistic), for filters that want one."""
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, reward))))

"""What a failure becomes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from .errors import RewardError
from .results import Score

OnError = Literal["raise", "skip", "nan", "zero"]
"""``raise`` is the default: a wrong 0 poisons training more than a stop. ``skip`` gives ``None``, where the trainer understands that."""

_LISTED = 3


def unwrap(outcome: Score | RewardError) -> Score:
    """The score of an item on its own. Raises RewardError if there is none."""
    if not isinstance(outcome, RewardError):
        return outcome
    # Its place among items of other callers means nothing to its own.
    field = None if outcome.field is None else re.sub(r"^items\[\d+\]\.?", "", outcome.field)
    raise RewardError(outcome.code, outcome.reason, outcome.message, field, outcome.retry_after)


def finish(outcomes: Sequence[Score | RewardError], on_error: OnError) -> list[Any]:
    """Scores, and for failures what ``on_error`` says. Raises RewardError."""
    if on_error not in ("raise", "skip", "nan", "zero"):
        raise RewardError("INVALID_ARGUMENT", "INVALID_OPTION", "on_error is raise, skip, nan or zero", "on_error")
    errors = {i: one for i, one in enumerate(outcomes) if isinstance(one, RewardError)}
    if errors and (on_error == "raise" or _nobody_answered(outcomes, errors)):
        raise _summary(errors, len(outcomes))
    return [_replacement(on_error) if isinstance(one, RewardError) else one for one in outcomes]


def _nobody_answered(outcomes: Sequence[Any], errors: dict[int, RewardError]) -> bool:
    """A server that is away is no property of the items: a whole step of zeros would follow."""
    return len(errors) == len(outcomes) and all(
        error.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNAUTHENTICATED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED")
        for error in errors.values()
    )


def _summary(errors: dict[int, RewardError], count: int) -> RewardError:
    first = next(iter(errors.values()))
    listed = "; ".join(f"items[{i}]: {error}" for i, error in list(errors.items())[:_LISTED])
    more = "" if len(errors) <= _LISTED else f"; and {len(errors) - _LISTED} more"
    message = f"{len(errors)} of {count} items have no reward: {listed}{more}"
    waits = [error.retry_after for error in errors.values() if error.retry_after is not None]
    return RewardError(first.code, first.reason, message, first.field, max(waits, default=None), errors)


def _replacement(on_error: str) -> Any:
    if on_error == "skip":
        return None
    value = math.nan if on_error == "nan" else 0.0
    return Score(value, {}, {}, math.nan, math.nan, "", math.nan, 0, False, False, "")

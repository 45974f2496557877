"""Which items go into which calls, and what came of them. No input or output: shared by both clients."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import _wire
from .errors import RewardError, bad_answer
from .items import Item, to_request
from .results import Limits, Score, to_scores

Outcome = Score | RewardError

MAX_CALL_BYTES = 32 << 20
"""Half of the retry buffer: a call that outgrows it is never retried, in silence."""
_LATER = {"QUEUE_FULL", "QUOTA_EXCEEDED"}
_AWAY = {"DRAINING", "NO_REPLICA", "UNAVAILABLE"}
_AWAY_SECONDS = 30.0
_DEFAULT_WAIT = 0.5


@dataclass(frozen=True)
class Call:
    """One BatchScore: its request, and for each of its items the positions of the candidates in the caller's list."""

    request: Any
    members: Sequence[Sequence[int]]

    @property
    def positions(self) -> list[int]:
        return [position for group in self.members for position in group]


def plan(items: Sequence[Item], positions: Sequence[int], limits: Limits) -> tuple[list[Call], dict[int, RewardError]]:
    """Calls for these items, equal prompts folded into one request each, and the errors of those that no request can hold."""
    groups: dict[Any, list[int]] = {}
    for position in positions:
        groups.setdefault(items[position].prompt_key, []).append(position)
    errors: dict[int, RewardError] = {}
    calls: list[Call] = []
    requests: list[Any] = []
    members: list[list[int]] = []
    size = 0
    most = min(limits.max_message_bytes, MAX_CALL_BYTES)
    for group in groups.values():
        for start in range(0, len(group), limits.max_candidates):
            part = group[start : start + limits.max_candidates]
            try:
                request = to_request([items[position] for position in part])
            except RewardError as error:
                errors.update(dict.fromkeys(part, error))
                continue
            bytes_ = request.ByteSize() + 8
            if requests and (len(requests) >= limits.max_items or size + bytes_ > most):
                calls.append(Call(_wire.BatchScoreRequest(items=requests), members))
                requests, members, size = [], [], 0
            requests.append(request)
            members.append(part)
            size += bytes_
    if requests:
        calls.append(Call(_wire.BatchScoreRequest(items=requests), members))
    return calls, errors


def read(call: Call, response: Any) -> dict[int, Outcome]:
    """Outcomes by position. An answer of another shape than the request's is an error of all its items."""
    if len(response.results) != len(call.members):
        return dict.fromkeys(call.positions, bad_answer("another number of items"))
    outcomes: dict[int, Outcome] = {}
    for group, result in zip(call.members, response.results, strict=True):
        try:
            outcomes.update(zip(group, to_scores(result, len(group)), strict=True))
        except RewardError as error:
            outcomes.update(dict.fromkeys(group, error))
    return {i: _located(one, i) if isinstance(one, RewardError) else one for i, one in outcomes.items()}


def _located(error: RewardError, position: int) -> RewardError:
    """The server names fields of the request that was sent; the caller knows the items of its own list."""
    if error.field is None:
        return error
    field = re.sub(r"^items\[\d+\]", f"items[{position}]", error.field)
    field = re.sub(r"\.candidates\[\d+\]", ".response", field)
    return RewardError(error.code, error.reason, error.message, field, error.retry_after)


class Patience:
    """Decides whether an error is worth another attempt, and after how long. Callers do not come back together."""

    def __init__(self, deadline: float) -> None:
        """``deadline``: on the clock of `time.monotonic`."""
        self._deadline = deadline
        self._away_since: float | None = None

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - time.monotonic()

    def wait(self, errors: Sequence[RewardError]) -> float | None:
        """Seconds to wait before these are asked again; None: waiting is no use for any."""
        now = time.monotonic()
        away = [error for error in errors if error.code == "UNAVAILABLE" and error.reason in _AWAY]
        if not away:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = now
        hopeful = [error for error in errors if self.hopes(error)]
        if not hopeful:
            return None
        longest = max(_DEFAULT_WAIT if error.retry_after is None else error.retry_after for error in hopeful)
        seconds = longest * (1 + random.random() / 2)
        return seconds if now + seconds < self._deadline else None

    def hopes(self, error: RewardError) -> bool:
        """Whether the error passes with time."""
        if error.reason in _LATER:
            return True
        if error.code != "UNAVAILABLE" or error.reason not in _AWAY:
            return False
        return self._away_since is None or time.monotonic() - self._away_since < _AWAY_SECONDS


class Attempts:
    """A batch until it is done: what to ask next, and when to give up."""

    def __init__(self, items: Sequence[Item], limits: Limits, deadline: float) -> None:
        self._items = items
        self._limits = limits
        self._patience = Patience(deadline)
        self._outcomes: list[Outcome | None] = [None] * len(items)
        self._open = list(range(len(items)))

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._patience.left

    def calls(self) -> list[Call]:
        """Calls for what has no outcome yet."""
        calls, errors = plan(self._items, self._open, self._limits)
        self.take(errors)
        return calls

    def take(self, outcomes: dict[int, Any]) -> None:
        """What came of a call."""
        for position, outcome in outcomes.items():
            self._outcomes[position] = outcome

    def pause(self) -> float | None:
        """Seconds until the failed ones are asked again; None when the batch is done."""
        failed = {i: one for i in self._open if isinstance(one := self._outcomes[i], RewardError)}
        wait = self._patience.wait(list(failed.values()))
        if wait is None:
            return None
        self._open = [i for i, error in failed.items() if self._patience.hopes(error)]
        return wait

    def outcomes(self) -> list[Outcome]:
        """One per item, in their order."""
        return [bad_answer("nothing for an item") if one is None else one for one in self._outcomes]

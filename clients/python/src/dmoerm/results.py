"""What comes back: a reward and what explains it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import RewardError, bad_answer, from_status


@dataclass(frozen=True)
class Score:
    """A reward, always finite, and what explains it.

    Attributes:
        reward: larger is better; comparable within one task and revision.
        capabilities: raw score of each capability expert of the task.
        contributions: how much each expert moved the reward.
        uncertainty: standard deviation over the aggregator's heads, in reward units.
        spread: standard deviation over the experts' standardised scores.
        task: the task that scored the conversation, and its probability.
        probability: in [0, 1].
        token_count: tokens of prompt and response together.
        truncated: turns were dropped to fit the model.
        degraded: a part of the model was missing and the reward comes from a lesser rule.
        revision: the model that answered, 64 hexadecimal digits.
    """

    reward: float
    capabilities: Mapping[str, float]
    contributions: Mapping[str, float]
    uncertainty: float
    spread: float
    task: str
    probability: float
    token_count: int
    truncated: bool
    degraded: bool
    revision: str

    def value(self, capability: str | None = None) -> float:
        """The reward, or the score of a capability: its name, or ``task/name``. NaN if the score's task does not have it."""
        if capability is None:
            return self.reward
        task, _, name = capability.rpartition("/")
        return self.capabilities.get(name, math.nan) if task in ("", self.task) else math.nan


@dataclass(frozen=True)
class Limits:
    """What a call may hold."""

    max_items: int
    max_candidates: int
    max_tokens: int
    max_message_bytes: int


@dataclass(frozen=True)
class Model:
    """The model that serves."""

    name: str
    revision: str
    tasks: Mapping[str, tuple[str, ...]]
    """Capabilities by task."""
    limits: Limits

    @property
    def capabilities(self) -> tuple[str, ...]:
        """All of them as ``task/name``, in the model's order: the fixed keys of a run."""
        return tuple(f"{task}/{name}" for task, names in self.tasks.items() for name in names)


def to_model(response: Any) -> Model:
    """A model's description."""
    limits = response.limits
    return Model(
        response.name,
        response.revision,
        {task.name: tuple(task.capabilities) for task in response.tasks},
        Limits(limits.max_items, limits.max_candidates, limits.max_tokens, limits.max_message_bytes),
    )


def to_scores(result: Any, count: int) -> list[Score | RewardError]:
    """Outcomes of an item's candidates. Raises RewardError if there are not as many as were sent."""
    if result.WhichOneof("outcome") == "error":
        return [from_status(result.error)] * count
    response = result.response
    if result.WhichOneof("outcome") is None or len(response.results) != count:
        raise bad_answer("another number of scores than candidates")
    return [_score(one, response.revision) for one in response.results]


def _score(result: Any, revision: str) -> Score | RewardError:
    if result.WhichOneof("outcome") == "error":
        return from_status(result.error)
    score = result.score
    if result.WhichOneof("outcome") is None or not math.isfinite(score.reward):
        return bad_answer("a reward that is no finite number")
    return Score(
        reward=score.reward,
        capabilities={one.name: one.score for one in score.capabilities},
        contributions={one.name: one.contribution for one in score.capabilities},
        uncertainty=score.uncertainty.heads,
        spread=score.uncertainty.experts,
        task=score.route.task,
        probability=score.route.probability,
        token_count=score.token_count,
        truncated=score.truncated,
        degraded=score.degraded,
        revision=revision,
    )

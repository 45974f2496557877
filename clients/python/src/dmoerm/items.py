"""What is scored: a prompt, a response, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import _wire
from .errors import RewardError, invalid

Conversation = str | Sequence[Mapping[str, Any]]
"""Text, or messages with ``role`` and ``content`` as chat templates take them."""

_ROLES = {"system": "ROLE_SYSTEM", "user": "ROLE_USER", "assistant": "ROLE_ASSISTANT"}
_ROUTINGS = {"top_1": "ROUTING_TOP_1", "soft": "ROUTING_SOFT"}
_AGGREGATIONS = {
    "learned": "AGGREGATION_LEARNED",
    "mean": "AGGREGATION_MEAN",
    "worst_case": "AGGREGATION_WORST_CASE",
    "uncertainty_weighted": "AGGREGATION_UNCERTAINTY_WEIGHTED",
}
_TRUNCATIONS = {"reject": "TRUNCATION_REJECT", "keep_end": "TRUNCATION_KEEP_END"}
_PRIORITIES = {"normal": "PRIORITY_NORMAL", "background": "PRIORITY_BACKGROUND"}


@dataclass(frozen=True)
class Options:
    """How to score; the defaults are the server's.

    Attributes:
        task: forces the task; ``None`` lets the router choose.
        routing: ``top_1``, or ``soft``: the two most probable tasks, weighted.
        aggregation: ``learned``, ``mean``, ``worst_case`` or ``uncertainty_weighted``.
        lambda_: weight of the variance for ``uncertainty_weighted``.
        truncation: ``reject`` refuses what is too long for the model; ``keep_end`` drops the oldest turns.
        revision: the revision that must answer.
        priority: ``background`` lets everybody's normal work go first.
    """

    task: str | None = None
    routing: str = "top_1"
    aggregation: str = "learned"
    lambda_: float | None = None
    truncation: str = "reject"
    revision: str | None = None
    priority: str = "normal"


@dataclass(frozen=True)
class Item:
    """One response to one prompt. Make it with `pair`, `from_trl` or `from_text`."""

    response: str
    messages: tuple[tuple[str, str], ...] = ()
    text: str | None = None
    options: Options = field(default_factory=Options)

    @classmethod
    def pair(cls, prompt: Conversation, response: str, **options: Any) -> Item:
        """A prompt, as text of a user or as messages, and its response."""
        messages = (("user", prompt),) if isinstance(prompt, str) else _messages(prompt, "prompt")
        return cls(_text(response, "response"), messages, None, Options(**options))

    @classmethod
    def from_trl(cls, prompt: Conversation, completion: Conversation, **options: Any) -> Item:
        """TRL's prompt and completion, each text or messages; the last message of a completion is what is scored."""
        if isinstance(completion, str):
            return cls.pair(prompt, completion, **options)
        turns = _messages(completion, "completion")
        if not turns or turns[-1][0] != "assistant":
            raise invalid("completion", "a completion ends with a message of the assistant")
        before = (("user", prompt),) if isinstance(prompt, str) else _messages(prompt, "prompt")
        return cls(turns[-1][1], before + turns[:-1], None, Options(**options))

    @classmethod
    def from_text(cls, text: str, response: str, **options: Any) -> Item:
        """A prompt that is rendered already; text of special tokens in it is read as special tokens."""
        return cls(_text(response, "response"), (), _text(text, "text"), Options(**options))

    def pinned(self, revision: str) -> Item:
        """The same, to be answered by this revision alone."""
        return replace(self, options=replace(self.options, revision=revision))

    @property
    def prompt_key(self) -> tuple[Any, ...]:
        """Items with equal keys share one request: their prompt is computed once."""
        return (self.messages, self.text, self.options)

    @property
    def size(self) -> int:
        """About how many bytes it takes on the wire if nobody shares its prompt."""
        prompt = self.text or "".join(content for _, content in self.messages)
        return 64 + len(prompt.encode("utf-8", "replace")) + len(self.response.encode("utf-8", "replace"))


def to_request(items: Sequence[Item]) -> Any:
    """The request of items with one prompt. Raises RewardError naming what the API does not know."""
    first = items[0]
    request = _wire.ScoreRequest(candidates=[item.response for item in items])
    if first.text is not None:
        request.text = first.text
    else:
        for role, content in first.messages:
            request.conversation.messages.add(role=_wire.enum("dmoerm.common.v1.Role", _ROLES[role]), content=content)
    options, target = first.options, request.options
    target.routing = _enum("Routing", "routing", _ROUTINGS, options.routing)
    if options.task is not None:
        target.routing = _wire.enum("dmoerm.reward.v1.Routing", "ROUTING_FORCED")
        target.task = options.task
    target.aggregation = _enum("Aggregation", "aggregation", _AGGREGATIONS, options.aggregation)
    if options.lambda_ is not None:
        setattr(target, "lambda", options.lambda_)
    target.truncation = _enum("Truncation", "truncation", _TRUNCATIONS, options.truncation, "common")
    target.priority = _enum("Priority", "priority", _PRIORITIES, options.priority, "common")
    target.revision = options.revision or ""
    return request


def _enum(enum: str, field: str, names: Mapping[str, str], value: str, package: str = "reward") -> int:
    if value not in names:
        raise invalid(f"options.{field}", f"{field} is one of {', '.join(names)}; not {value!r}")
    return _wire.enum(f"dmoerm.{package}.v1.{enum}", names[value])


def _messages(messages: Sequence[Mapping[str, Any]], field: str) -> tuple[tuple[str, str], ...]:
    turns = []
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
            raise invalid(f"{field}[{i}].role", f"a message has a role of {', '.join(_ROLES)}")
        turns.append((str(message["role"]), _content(message.get("content"), f"{field}[{i}].content")))
    return tuple(turns)


def _content(content: Any, field: str) -> str:
    """Text, or OpenAI's list of parts if all of them are text."""
    if isinstance(content, Sequence) and not isinstance(content, (str, bytes)):
        parts = [part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in content]
        if parts and all(isinstance(part, str) for part in parts):
            return "".join(str(part) for part in parts)
    return _text(content, field)


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise invalid(field, f"{field} is text, not {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise invalid(field, f"{field} holds half a surrogate pair, which is no Unicode text") from error
    return value


__all__ = ["Conversation", "Item", "Options", "RewardError", "to_request"]

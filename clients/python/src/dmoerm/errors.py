"""The one error of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _wire


class RewardError(Exception):
    """A reward that could not be had. Plain values only: it crosses pickle, so process pools and Ray.

    Attributes:
        code: name of the gRPC status, e.g. ``INVALID_ARGUMENT``.
        reason: machine-readable cause, e.g. ``TOO_LONG``; the code if the server named none.
        message: what is wrong and what to do, for people.
        field: path of what is at fault, e.g. ``items[3].messages[1].content``.
        retry_after: seconds that the server asks to wait; ``None``: waiting is no use.
        item_errors: of a batch, the error of each item that has one, by its position.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        message: str,
        field: str | None = None,
        retry_after: float | None = None,
        item_errors: Mapping[int, RewardError] | None = None,
    ) -> None:
        super().__init__(code, reason, message, field, retry_after, dict(item_errors or {}))
        self.code = code
        self.reason = reason
        self.message = message
        self.field = field
        self.retry_after = retry_after
        self.item_errors = dict(item_errors or {})

    def __str__(self) -> str:
        where = "" if self.field is None or self.field in self.message else f" ({self.field})"
        return f"{self.message}{where} [{self.code} {self.reason}]"


def invalid(field: str, message: str) -> RewardError:
    """What the caller passed cannot be scored."""
    return RewardError("INVALID_ARGUMENT", "INVALID_ITEM", message, field)


def late(seconds: float) -> RewardError:
    """No answer within the caller's timeout. Not Python's own TimeoutError: AReaL would take that for its own, and learn a 0."""
    return RewardError("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", f"no reward within {seconds:g} s")


def bad_answer(what: str) -> RewardError:
    """The server does not keep to the API."""
    return RewardError("INTERNAL", "BAD_ANSWER", f"the server answered with {what}")


def from_status(status: Any) -> RewardError:
    """The error that a ``google.rpc.Status`` tells of, with or without details."""
    code = _wire.CODES.get(status.code, "UNKNOWN")
    reason, field, retry_after = code, None, None
    for detail in status.details:
        message = _wire.unpack_detail(detail)
        if message is None:
            continue
        name = message.DESCRIPTOR.name
        if name == "ErrorInfo":
            reason = message.reason or code
        elif name == "BadRequest" and message.field_violations:
            field = message.field_violations[0].field
        elif name == "RetryInfo":
            retry_after = message.retry_delay.seconds + message.retry_delay.nanos / 1e9
    return RewardError(code, reason, status.message, field, retry_after)


def from_rpc(error: Any) -> RewardError:
    """The error of a failed call of grpcio, of ``grpc`` or ``grpc.aio``."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                return from_status(_wire.parse_status(value))
            except ValueError:
                break  # not a google.rpc.Status: a proxy's own
    name = error.code().name
    return RewardError(name, name, error.details() or name)

"""The API's messages, made from its descriptors in a pool of their own.

Generated code is tied to a major version of protobuf, and trainers bring their own; and the default pool may hold other copies of
``google.rpc``. Classes built from descriptors in a private pool have neither problem.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

_POOL = descriptor_pool.DescriptorPool()


def _load() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString((Path(__file__).parent / "descriptors.binpb").read_bytes())
    for file in files.file:
        _POOL.AddSerializedFile(file.SerializeToString())


_load()


def _cls(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


BatchScoreRequest = _cls("dmoerm.reward.v1.BatchScoreRequest")
BatchScoreResponse = _cls("dmoerm.reward.v1.BatchScoreResponse")
GetModelRequest = _cls("dmoerm.reward.v1.GetModelRequest")
GetModelResponse = _cls("dmoerm.reward.v1.GetModelResponse")
ScoreRequest = _cls("dmoerm.reward.v1.ScoreRequest")
_Status = _cls("google.rpc.Status")

SERVICE = "/dmoerm.reward.v1.RewardService/"
CODES = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
_DETAILS = {name: _cls(f"google.rpc.{name}") for name in ("ErrorInfo", "BadRequest", "RetryInfo")}


def parse_status(data: bytes) -> Any:
    """A ``google.rpc.Status``. Raises ValueError if it is none."""
    try:
        return _Status.FromString(data)
    except message.DecodeError as error:
        raise ValueError("not a google.rpc.Status") from error


def unpack_detail(detail: Any) -> Any | None:
    """A detail of a status that is known here, else None."""
    kind = _DETAILS.get(detail.type_url.rpartition(".")[2])
    if kind is None:
        return None
    try:
        return kind.FromString(detail.value)
    except message.DecodeError:
        return None


def enum(name: str, value: str) -> int:
    """Number of an enumeration's value, e.g. ``enum("dmoerm.reward.v1.Routing", "ROUTING_SOFT")``."""
    return int(_POOL.FindEnumTypeByName(name).values_by_name[value].number)

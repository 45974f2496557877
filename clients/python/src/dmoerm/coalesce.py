"""When many single items become one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from .items import Item

MAX_ITEMS = 64
MAX_BYTES = 16 << 20
WAIT_SECONDS = 0.005

F = TypeVar("F")


@dataclass
class Waiting(Generic[F]):
    """An item whose caller waits."""

    item: Item
    future: F
    since: float


def first_batch(queue: list[Waiting[F]]) -> tuple[list[Waiting[F]], list[Waiting[F]]]:
    """The first items that fit into one call, and the rest; always at least one."""
    size = 0
    for n, waiting in enumerate(queue):
        size += waiting.item.size
        if n == MAX_ITEMS or (n > 0 and size > MAX_BYTES):
            return queue[:n], queue[n:]
    return queue, []

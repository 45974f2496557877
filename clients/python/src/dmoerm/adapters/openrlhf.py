"""OpenRLHF: ``--reward.remote_url .../dmoerm/adapters/openrlhf.py``, with ``DMOERM_TARGET=router:50051``.

OpenRLHF asks for one query at a time from many threads; they are coalesced here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmoerm.adapters._shared import client, numbers, squash, target_of
from dmoerm.items import Item


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_: Any) -> dict[str, Any]:
    """Rewards, scores in 0..1 for dynamic filtering, and every capability as ``extra_logs``. Raises RewardError."""
    rewards = client(target_of(None))
    scores = [rewards.score(_item(query, prompt)) for query, prompt in zip(queries, prompts, strict=True)]
    logs = [numbers(rewards.model(), score) | {"degraded": float(score.degraded)} for score in scores]
    return {
        "rewards": [score.reward for score in scores],
        "scores": [squash(score.reward) for score in scores],
        "extra_logs": {name: [one[name] for one in logs] for name in (logs[0] if logs else {})},
    }


def _item(query: str, prompt: str) -> Item:
    """A query is prompt and response, of the prompt perhaps only the end; if nothing of it is there, all is scored as one text."""
    shared = next((n for n in range(min(len(prompt), len(query)), 0, -1) if query.startswith(prompt[-n:])), 1)
    return Item.from_text(query[:shared], query[shared:])

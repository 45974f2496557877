"""NeMo-RL: an environment that scores the last message of each log.

register("router:50051")            # before setup; then env: {dmoerm: {}} and task_name dmoerm in the data
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..items import Item
from ._shared import client, columns, target_of


class EnvironmentReturn(NamedTuple):
    """As ``nemo_rl.environments.interfaces.EnvironmentReturn``."""

    observations: list[dict[str, str]]
    metadata: list[Any]
    next_stop_strings: list[Any]
    rewards: Any
    terminateds: Any
    answers: list[str | None] | None


class DmoermEnvironment:
    """``step`` gives one reward per log, or with ``multi_reward`` a tensor per capability."""

    def __init__(self, cfg: Mapping[str, Any] | None = None) -> None:
        self._cfg = dict(cfg or {})
        self._client = client(target_of(self._cfg.get("target")), self._cfg.get("timeout", 300.0))

    def step(self, message_log_batch: Sequence[Sequence[Mapping[str, Any]]], metadata: Sequence[Any]) -> EnvironmentReturn:
        """Scores the whole batch in one call. Raises RewardError."""
        import torch

        items = [Item.from_trl([_turn(one) for one in log[:-1]], [_turn(log[-1])]) for log in message_log_batch]
        scores = self._client.score_batch(items)
        rewards: Any = torch.tensor([score.reward for score in scores], dtype=torch.float32)
        if self._cfg.get("multi_reward"):
            rows = [columns(self._client.model(), score) for score in scores]
            names = rows[0] if rows else {}
            rewards = {name: torch.tensor([row[name] for row in rows], dtype=torch.float32) for name in names}
        count = len(scores)
        said = [{"role": "environment", "content": f"reward {score.reward:.4f}"} for score in scores]
        return EnvironmentReturn(said, [None] * count, [None] * count, rewards, torch.ones(count, dtype=torch.bool), [None] * count)

    def global_post_process_and_metrics(self, batch: Any) -> tuple[Any, dict[str, float]]:
        """Nothing to add."""
        return batch, {}


def register(target: str, name: str = "dmoerm", **cfg: Any) -> None:
    """Makes the environment known to NeMo-RL, in both of its registries. One slow task must not hold the step: calls overlap."""
    import ray
    from nemo_rl.distributed.ray_actor_environment_registry import ACTOR_ENVIRONMENT_REGISTRY
    from nemo_rl.distributed.virtual_cluster import PY_EXECUTABLES
    from nemo_rl.environments.utils import register_env

    actor = f"{__name__}.DmoermActor"
    globals()["DmoermActor"] = ray.remote(max_concurrency=1000)(
        type(
            "DmoermActor",
            (DmoermEnvironment,),
            {"__init__": lambda self, _=None: DmoermEnvironment.__init__(self, {"target": target, **cfg})},
        )
    )
    register_env(name, actor)
    ACTOR_ENVIRONMENT_REGISTRY[actor] = PY_EXECUTABLES.SYSTEM


def _turn(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": message["role"], "content": message["content"]}

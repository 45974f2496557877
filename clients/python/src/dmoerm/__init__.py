"""Rewards from a dmoerm mesh, for RL trainers.

    with RewardClient("127.0.0.1:50051") as client:
        scores = client.score_batch([Item.pair("Why is the sky blue?", "Rayleigh scattering.")])
        print(scores[0].reward, dict(scores[0].capabilities))

Adapters for trainers are in `dmoerm.adapters`.
"""

from ._connection import Tls
from ._version import __version__
from .aio import AsyncRewardClient
from .client import RewardClient
from .errors import RewardError
from .items import Item, Options
from .results import Limits, Model, Score

__all__ = [
    "AsyncRewardClient",
    "Item",
    "Limits",
    "Model",
    "Options",
    "RewardClient",
    "RewardError",
    "Score",
    "Tls",
    "__version__",
]

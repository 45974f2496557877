"""NeMo-RL is not on PyPI: its environment is stepped as its interface says, with real tensors; nothing of NeMo-RL runs."""

from __future__ import annotations

import torch

import quick_starts
from conftest import Mesh
from contract import CHAT, RESPONSES, Contract
from dmoerm.adapters.nemo_rl import DmoermEnvironment


class TestNemoRl(Contract):
    def ask(self, target: str, responses: list[str]) -> list[float]:
        answer = DmoermEnvironment({"target": target}).step([_log(one) for one in responses], [{}] * len(responses))
        assert answer.rewards.dtype == torch.float32 and answer.rewards.shape == (len(responses),)
        assert answer.terminateds.all() and answer.terminateds.shape == answer.rewards.shape
        columns = (answer.observations, answer.metadata, answer.next_stop_strings, answer.answers)
        assert all(len(column) == len(responses) for column in columns)
        return list(answer.rewards.tolist())


def test_a_tensor_for_each_capability(mesh: Mesh) -> None:
    answer = DmoermEnvironment({"target": mesh.target, "multi_reward": True}).step([_log(one) for one in RESPONSES], [{}] * 3)
    assert "chat/helpfulness" in answer.rewards
    assert all(column.shape == (3,) for column in answer.rewards.values())


def test_the_quick_start(mesh: Mesh) -> None:
    quick_starts.run("nemo_rl", mesh.target)


def _log(response: str) -> list[dict[str, object]]:
    tokens = torch.tensor([1, 2])
    return [{**CHAT[0], "token_ids": tokens}, {"role": "assistant", "content": response, "token_ids": tokens}]

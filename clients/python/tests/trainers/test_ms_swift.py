"""ms-swift: its loader of plugins, its table of rewards, and the function in which its GRPO trainer calls them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from contract import CHAT, Contract
from swift.rewards import orms
from swift.rl_core.data import GRPOSample
from swift.rl_core.grpo_algorithm import compute_rewards_per_func
from swift.utils import import_external_file


class TestMsSwift(Contract):
    @pytest.fixture(autouse=True)
    def _plugin(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plugin = tmp_path / "plugin.py"
        plugin.write_text("import dmoerm.adapters.ms_swift\n")
        monkeypatch.syspath_prepend(tmp_path)  # taken back after the test, with what the loader adds
        import_external_file(str(plugin))
        self.environment = monkeypatch

    def ask(self, target: str, responses: list[str]) -> list[float]:
        self.environment.setenv("DMOERM_TARGET", target)
        samples = [GRPOSample(messages=[*CHAT, {"role": "assistant", "content": one}]) for one in responses]
        rewards = compute_rewards_per_func(samples, [orms["dmoerm"](args=None)], [None], torch.device("cpu"))
        assert rewards.shape == (len(responses), 1)
        return list(rewards[:, 0].tolist())

"""ms-swift: its loader of plugins, its table of rewards, and the function in which its GRPO trainer calls them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from swift.arguments import RLHFArguments
from swift.rewards import orms
from swift.rl_core.data import GRPOSample
from swift.rl_core.grpo_algorithm import compute_rewards_per_func
from swift.utils import import_external_file

import quick_starts
from contract import CHAT, Contract


class TestMsSwift(Contract):
    @pytest.fixture(autouse=True)
    def _plugin(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plugin = tmp_path / "plugin.py"
        plugin.write_text(quick_starts.blocks("ms_swift", "python")[0])
        monkeypatch.syspath_prepend(tmp_path)  # taken back after the test, with what the loader adds
        import_external_file(str(plugin))
        self.environment = monkeypatch

    def ask(self, target: str, responses: list[str]) -> list[float]:
        self.environment.setenv("DMOERM_TARGET", target)
        samples = [GRPOSample(messages=[*CHAT, {"role": "assistant", "content": one}]) for one in responses]
        rewards = compute_rewards_per_func(samples, [orms["dmoerm"](args=None)], [None], torch.device("cpu"))
        assert rewards.shape == (len(responses), 1)
        return list(rewards[:, 0].tolist())


def test_the_quick_start_names_options_that_are_there() -> None:
    known = {field.name for field in dataclasses.fields(RLHFArguments)}
    names = quick_starts.flags("ms_swift")
    assert "external_plugins" in names
    assert [one for one in names if one not in known] == []
